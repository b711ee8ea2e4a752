//! The streams, which complete their operations in order, and the order between streams.

use super::codes::{self, Code};
use super::objects::{Entry, Handle, Point, Stream};
use super::operation::Operation;
use super::state::{DriverState, current, uses_thread_stream};

/// The flag of a stream that does not wait for the legacy default stream (`CU_STREAM_NON_BLOCKING`).
const NON_BLOCKING: u32 = 1;

/// The handles of the default streams `CU_STREAM_LEGACY` and `CU_STREAM_PER_THREAD`.
const LEGACY: Handle = 1;
const PER_THREAD: Handle = 2;

impl DriverState {
    /// Returns the handle of a stream, which for a default stream is that of the current context.
    pub fn stream(&mut self, handle: Handle) -> Result<Handle, Code> {
        let own = handle == PER_THREAD || handle == 0 && uses_thread_stream();
        if own {
            let thread = std::thread::current().id();
            if let Some(stream) = self.context()?.thread_streams.get(&thread) {
                return Ok(*stream);
            }
            let stream = self.add_stream(current(), 0, 0);
            self.context()?.thread_streams.insert(thread, stream);
            return Ok(stream);
        }
        if handle <= LEGACY {
            return self.context().map(|context| context.default_stream);
        }
        if self.streams.contains_key(&handle) { Ok(handle) } else { Err(codes::INVALID_HANDLE) }
    }

    /// Adds a stream to a context.
    pub fn add_stream(&mut self, context: Handle, flags: u32, priority: i32) -> Handle {
        let stream = Stream { context, flags, priority, ..Stream::default() };
        self.register(|state, handle| state.streams.insert(handle, stream))
    }

    /// Returns the point after all operations that a stream has.
    pub fn end(&self, stream: Handle) -> Point {
        Point { stream, count: self.streams.get(&stream).map_or(0, |stream| stream.submitted) }
    }

    /// Adds an operation to a stream, after its earlier operations and after some points of other streams.
    pub fn enqueue(&mut self, handle: Handle, operation: Operation, mut after: Vec<Point>) {
        after.extend(self.implicit_order(handle));
        let event = |state: &Self, event| state.events.get(&event).and_then(|event| event.recorded);
        match operation {
            Operation::Graph(operations, _) => {
                self.push(handle, Operation::Empty, after);
                for operation in operations {
                    self.enqueue(handle, operation, Vec::new());
                }
            }
            Operation::WaitEvent(awaited) => {
                after.extend(event(self, awaited));
                self.push(handle, Operation::Empty, after);
            }
            Operation::Record(recorded) => {
                self.push(handle, operation, after);
                let point = self.end(handle);
                self.events.entry(recorded).and_modify(|event| event.recorded = Some(point));
            }
            _ => self.push(handle, operation, after),
        }
    }

    fn push(&mut self, handle: Handle, operation: Operation, mut after: Vec<Point>) {
        after.retain(|point| !self.is_complete(*point));
        let stream = self.streams.get_mut(&handle).expect("the caller has looked up the stream");
        stream.queue.push_back(Entry { operation, after });
        stream.submitted += 1;
    }

    /// Returns the points that the next operation of a stream follows because of the legacy default stream (section
    /// "Stream synchronization behavior").
    pub fn implicit_order(&self, handle: Handle) -> Vec<Point> {
        let stream = &self.streams[&handle];
        let legacy = self.contexts.get(&stream.context).map_or(0, |context| context.default_stream);
        if stream.flags & NON_BLOCKING != 0 {
            return Vec::new();
        }
        if handle != legacy {
            return vec![self.end(legacy)];
        }
        let blocking = |other: &&Stream| other.context == stream.context && other.flags & NON_BLOCKING == 0;
        let others = self.streams.iter().filter(|(other, state)| **other != handle && blocking(state));
        others.map(|(other, _)| self.end(*other)).collect()
    }

    /// Returns whether a stream has reached a point. A destroyed stream has completed all its operations.
    pub fn is_complete(&self, point: Point) -> bool {
        self.streams.get(&point.stream).is_none_or(|stream| stream.completed >= point.count)
    }

    /// Runs operations until a stream has reached a point, and returns the error of an earlier operation of the current
    /// context.
    pub fn wait(&mut self, point: Point) -> Result<(), Code> {
        self.finish(point)?;
        self.fault(current()).map_or(Ok(()), Err)
    }

    /// Runs operations until a stream has reached a point.
    ///
    /// # Errors
    /// `BLOCKED` if an operation waits for the host.
    pub fn finish(&mut self, point: Point) -> Result<(), Code> {
        let mut wanted = vec![point];
        while let Some(point) = wanted.last().copied() {
            if self.is_complete(point) {
                wanted.pop();
                continue;
            }
            let first = self.streams[&point.stream].queue.front();
            let before = first.and_then(|entry| entry.after.iter().find(|point| !self.is_complete(**point)).copied());
            match before {
                Some(before) => wanted.push(before),
                None if self.step(point.stream) => {}
                None => return Err(codes::BLOCKED),
            }
        }
        Ok(())
    }

    /// Runs all operations that are ready.
    pub fn progress(&mut self) {
        loop {
            let waiting = self.streams.iter().filter(|(_, stream)| !stream.queue.is_empty());
            let waiting: Vec<Handle> = waiting.map(|(handle, _)| *handle).collect();
            let mut any = false;
            for stream in waiting {
                while self.is_ready(stream) && self.step(stream) {
                    any = true;
                }
            }
            if !any {
                return;
            }
        }
    }

    fn is_ready(&self, stream: Handle) -> bool {
        let first = self.streams.get(&stream).and_then(|stream| stream.queue.front());
        first.is_some_and(|entry| entry.after.iter().all(|point| self.is_complete(*point)))
    }

    /// Runs the first operation of a stream. Returns false if the operation waits for the host.
    fn step(&mut self, handle: Handle) -> bool {
        let stream = self.streams.get_mut(&handle).expect("the stream has an operation");
        let Some(entry) = stream.queue.front().filter(|_| !stream.busy) else { return false };
        let (context, operation) = (stream.context, entry.operation.clone());
        let fault = self.fault(context);
        match operation {
            Operation::Host(host) if fault.is_none() || host.is_callback() => {
                let stream = self.streams.get_mut(&handle).expect("the stream has an operation");
                stream.busy = true;
                self.host_calls.push((handle, host, fault.unwrap_or(0)));
                return false;
            }
            // After a fault, nothing more runs in the context.
            _ if fault.is_some() => {}
            Operation::WaitValue(wait) if !self.is_met(wait) => return false,
            other => {
                if let Err(code) = self.execute(&other) {
                    self.contexts.entry(context).and_modify(|context| context.sticky_error = Some(code));
                }
            }
        }
        self.complete_first(handle);
        true
    }

    /// Returns the error of an earlier operation of a context.
    pub fn fault(&self, context: Handle) -> Option<Code> {
        self.contexts.get(&context).and_then(|context| context.sticky_error)
    }

    fn complete_first(&mut self, handle: Handle) {
        if let Some(stream) = self.streams.get_mut(&handle) {
            stream.queue.pop_front();
            stream.completed += 1;
        }
    }

    /// Completes the function of the host that a stream has waited for.
    pub fn host_call_done(&mut self, handle: Handle) {
        if let Some(stream) = self.streams.get_mut(&handle) {
            stream.busy = false;
        }
        self.complete_first(handle);
    }
}
