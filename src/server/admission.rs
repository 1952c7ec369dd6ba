//! Admission: which requests are taken on, by the size of their heads, by how many there are, and by the size of their replies.
//!
//! Who comes through the front proxy and who connects by himself have a door each, so that neither takes what the other needs.

mod places;
mod room;

use http::request::Parts;
use tokio::sync::{Semaphore, SemaphorePermit};

pub(super) use self::room::Taken;
#[cfg(test)]
pub(super) use self::room::taken_of;
use self::{
    places::{Owner, Place, Places},
    room::Room,
};
use super::{
    identity::Identity,
    peer::Peer,
    route::{Endpoint, Request},
};

/// What decides which requests are taken on.
#[derive(Debug)]
pub(super) struct Admission {
    proxied: Door,
    direct: Door,
    /// For requests with a large head, which is kept until the reply.
    large_heads: Semaphore,
}

/// What requests that come the same way share.
#[derive(Debug)]
struct Door {
    places: Places,
    /// For large replies.
    room: Room,
}

/// There is no room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests")]
pub(super) struct Overloaded;

/// A head that is larger, in bytes, needs one of so many permits.
pub(super) const LARGE_HEAD: usize = 32 * 1024;
pub(super) const LARGE_HEADS: usize = 64;
/// A reply that is larger, in bytes, needs room.
pub(super) const LARGE_REPLY: usize = 64 * 1024;

// === impl Admission ===

impl Admission {
    /// `in_flight` requests at each door, and `reply_room` bytes of large replies.
    pub(super) fn new(in_flight: usize, reply_room: usize) -> Self {
        let door = || Door {
            places: Places::new(in_flight),
            room: Room::new(reply_room),
        };
        Self {
            proxied: door(),
            direct: door(),
            large_heads: Semaphore::new(LARGE_HEADS),
        }
    }

    /// Takes a head on, before anything is done for it; `None` for one that is small.
    pub(super) fn head(&self, head: &Parts) -> Result<Option<SemaphorePermit<'_>>, Overloaded> {
        if size(head) <= LARGE_HEAD {
            return Ok(None);
        }
        self.large_heads.try_acquire().map(Some).map_err(|_| Overloaded)
    }

    /// Takes on a request of whom it is known who he is; `None` for what is not counted.
    pub(super) fn request(&self, head: &Parts, request: &Request) -> Result<Option<Place>, Overloaded> {
        // What is neither a metric nor an error needs no backend, and is so little that reviews of it are answered from the cache.
        let is_counted = matches!(request.endpoint, Ok(Endpoint::Metric(_)) | Err(_));
        if !is_counted || is_master(head) {
            return Ok(None);
        }
        let owner = Owner {
            is_autoscaler: identity(head).is_some_and(Identity::is_autoscaler),
            namespace: request.namespace().map(ToOwned::to_owned),
        };
        let place = self.door(head).places.take(owner, request.endpoint.is_ok());
        place.map(Some).ok_or(Overloaded)
    }

    /// The room that a reply of so many bytes takes until it is sent; `None` for one that is small.
    pub(super) fn reply(
        &self,
        head: &Parts,
        request: &Request,
        bytes: usize,
    ) -> Result<Option<Taken>, Overloaded> {
        if bytes <= LARGE_REPLY || is_master(head) {
            return Ok(None);
        }
        let taken = self.door(head).room.take(request.namespace(), bytes);
        taken.map(Some).ok_or(Overloaded)
    }

    fn door(&self, head: &Parts) -> &Door {
        if head.extensions.get::<Peer>().is_some_and(Peer::is_front_proxy) {
            &self.proxied
        } else {
            &self.direct
        }
    }
}

fn identity(head: &Parts) -> Option<&Identity> {
    head.extensions.get()
}

fn is_master(head: &Parts) -> bool {
    identity(head).is_some_and(Identity::is_master)
}

/// Bytes of a head, as HTTP/2 counts them (RFC 9113, section 6.5.2).
fn size(head: &Parts) -> usize {
    let path = head.uri.path_and_query().map_or(0, |path| path.as_str().len());
    let fields = head.headers.iter();
    path + fields
        .map(|(name, value)| name.as_str().len() + value.len() + 32)
        .sum::<usize>()
}
