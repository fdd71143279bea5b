//! Proof that the server's process is gone.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// The process at the other end of the control socket. A pid may be given to another process, a
/// pidfd is not.
#[derive(Debug)]
pub struct Process(OwnedFd);

impl Process {
    /// The process with this pid. `None` if the kernel cannot show it, as in a pod whose
    /// containers do not share process ids: then nothing will be proven.
    #[must_use]
    pub fn of(pid: Option<i32>) -> Option<Self> {
        pidfd_open(Pid::from_raw(pid?)?, PidfdFlags::empty())
            .ok()
            .map(Self)
    }

    /// True once it has ended.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let mut events = [PollFd::new(&self.0, PollFlags::IN)];
        matches!(poll(&mut events, Some(&Timespec::default())), Ok(1..))
    }
}
