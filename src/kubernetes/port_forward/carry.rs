//! Moving the bytes of a stream, for as long as there are any.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional},
    time::Instant,
};

/// A stream that nothing went through for that long is given up: the listener's client has its own, earlier deadlines.
pub(super) const IDLE: Duration = Duration::from_mins(10);

/// Counts the bytes that are read.
struct Counted<S> {
    stream: S,
    moved: Arc<AtomicU64>,
}

/// Moves bytes both ways until one side ends, or nothing moved for [`IDLE`].
pub(super) async fn carry(
    near: impl AsyncRead + AsyncWrite + Unpin,
    far: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<(), String> {
    let moved = Arc::new(AtomicU64::new(0));
    let counted = moved.clone();
    let mut near = Counted {
        stream: near,
        moved: moved.clone(),
    };
    let mut far = Counted { stream: far, moved };
    tokio::select! {
        copied = copy_bidirectional(&mut near, &mut far) => copied.map(drop).map_err(|error| error.to_string()),
        () = idle(&counted) => Err(format!("nothing went through it for {IDLE:?}")),
    }
}

/// Ends once nothing was counted for [`IDLE`].
async fn idle(moved: &AtomicU64) {
    let (mut known, mut since) = (moved.load(Ordering::Relaxed), Instant::now());
    loop {
        tokio::time::sleep(IDLE / 10).await;
        let now = moved.load(Ordering::Relaxed);
        if now != known {
            (known, since) = (now, Instant::now());
        } else if since.elapsed() >= IDLE {
            return;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        this.moved
            .fetch_add(u64::try_from(read).unwrap_or(u64::MAX), Ordering::Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_in_use_was_cut_after_ten_minutes() {
        let (mut client, near) = duplex(64);
        let (far, mut pod) = duplex(64);
        let task = tokio::spawn(carry(near, far));
        // An answer a minute, for an hour: a comparison with many rounds.
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_mins(1)).await;
            client.write_all(b"?").await.unwrap();
            assert_eq!(pod.read_u8().await.unwrap(), b'?');
            pod.write_all(b"!").await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), b'!');
        }
        assert!(!task.is_finished());
        // One that nobody uses is given up.
        let began = Instant::now();
        let error = task.await.unwrap().unwrap_err();
        assert!(error.starts_with("nothing went through it"), "{error}");
        assert!(
            began.elapsed() >= IDLE && began.elapsed() <= IDLE * 6 / 5,
            "{:?}",
            began.elapsed()
        );
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}
