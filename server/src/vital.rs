//! A member lives and dies as a whole.

use std::future::Future;
use std::io;
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// Ends the process if the thread or task that holds it panics: what is left would be a member
/// that answers votes and no clients, or the other way round.
struct Vital(&'static str);

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                part = self.0,
                "a part of the member panicked; the process ends"
            );
            std::process::abort();
        }
    }
}

/// Runs something that the member cannot live without, where it is called.
pub(crate) fn run<T>(name: &'static str, run: impl FnOnce() -> T) -> T {
    let _vital = Vital(name);
    run()
}

/// Starts a thread that the member cannot live without.
pub(crate) fn thread(
    name: &'static str,
    run: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || self::run(name, run))
}

/// Starts a task that the member cannot live without.
pub(crate) fn task(
    runtime: &Handle,
    name: &'static str,
    run: impl Future<Output = ()> + Send + 'static,
) -> AbortHandle {
    runtime
        .spawn(async move {
            let _vital = Vital(name);
            run.await;
        })
        .abort_handle()
}
