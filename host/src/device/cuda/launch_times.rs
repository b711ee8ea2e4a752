//! The time of each launch on the device.

use std::cell::RefCell;

use cust::event::{Event, EventFlags};
use cust::stream::Stream;
use gpu_kernels::tiled::phases::Op;

use super::error::failed;
use crate::error::Result;

/// A launch and its time.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchTime {
    /// The kernel's name in the PTX.
    pub kernel: String,
    /// The op of a step, where the tiled executor launches a kernel for each op.
    pub op: Option<Op>,
    /// The time on the device, in seconds.
    pub seconds: f64,
}

/// Launches between two events each, while [`Self::record`] runs.
#[derive(Default)]
pub(super) struct LaunchTimes(RefCell<Option<Vec<(LaunchTime, Event, Event)>>>);

impl LaunchTimes {
    /// Calls `launches`, which launches kernels and waits for their end, and returns the times of these launches. The
    /// events between launches take time too, so a series of short launches takes longer than without them.
    pub(super) fn record(&self, launches: impl FnOnce() -> Result<()>) -> Result<Vec<LaunchTime>> {
        self.0.replace(Some(Vec::new()));
        let result = launches();
        let launches = self.0.take().unwrap_or_default();
        result?;
        let seconds = |(launch, start, end): (LaunchTime, Event, Event)| {
            let action = || format!("measure the time of `{}`", launch.kernel);
            let milliseconds = end.elapsed_time_f32(&start).map_err(failed(action()))?;
            Ok(LaunchTime { seconds: f64::from(milliseconds) / 1e3, ..launch })
        };
        launches.into_iter().map(seconds).collect()
    }

    /// Calls `launch`, which launches a kernel on the stream, between two events if times are recorded.
    pub(super) fn around(
        &self,
        kernel: &str,
        op: Option<Op>,
        stream: &Stream,
        launch: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let mut launches = self.0.borrow_mut();
        let Some(launches) = launches.as_mut() else { return launch() };
        let event = || -> Result<Event> {
            let event = Event::new(EventFlags::DEFAULT).map_err(failed("make an event"))?;
            event.record(stream).map_err(failed("record an event"))?;
            Ok(event)
        };
        let start = event()?;
        launch()?;
        launches.push((LaunchTime { kernel: kernel.to_owned(), op, seconds: 0.0 }, start, event()?));
        Ok(())
    }
}
