//! A body that is handed out in pieces, as the client takes them.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::server::admission::Taken;

/// Bytes of a piece: the size of a frame of HTTP/2. A body that is one piece goes into the connection's buffer as a whole as soon
/// as the client makes room for a single byte.
const PIECE: usize = 16 * 1024;

/// What of a body is not sent yet, and the room that it takes.
#[derive(Debug)]
pub(super) struct Pieces {
    rest: Bytes,
    /// Given back when the last piece is taken, or the client is gone.
    _room: Option<Taken>,
}

// === impl Pieces ===

impl Pieces {
    pub(super) fn new(body: Bytes, room: Option<Taken>) -> Self {
        Self {
            rest: body,
            _room: room,
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::server::admission::taken_of;

    #[tokio::test]
    async fn all_of_it_in_pieces_and_the_room_is_given_back() {
        let (taken, used) = taken_of(16, 5);
        let body: Bytes = (0..100_000_u32)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect();
        let mut pieces = Pieces::new(body.clone(), Some(taken));
        assert_eq!(pieces.size_hint().exact(), Some(100_000));
        let first = pieces.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, body[..PIECE]);
        assert_eq!(used(), 5);
        let rest = pieces.collect().await.unwrap().to_bytes();
        assert_eq!(rest, body[PIECE..]);
        assert_eq!(used(), 0);
    }
}
