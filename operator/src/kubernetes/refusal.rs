//! What an API server answers, in the platform's words.

use kube::Error;

use crate::platform::PlatformError;

/// What came of a write.
pub(crate) enum Written<T> {
    Done(T),
    /// The API server does not take it, and will not before something else changes: a quota, a
    /// policy, a right, a value.
    Refused(Refusal),
}

/// Why a write was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// A value is not allowed, in itself or beside what is there.
    pub(crate) invalid: bool,
    /// For people.
    pub(crate) why: String,
}

/// Sorts out the answer to a write to `what`, such as `Service zk-peers`.
///
/// # Errors
/// If the object is another than the one that was read, or the API server cannot be reached.
pub(crate) fn written<T>(
    what: &str,
    answer: Result<T, Error>,
) -> Result<Written<T>, PlatformError> {
    match answer {
        Ok(done) => Ok(Written::Done(done)),
        Err(Error::Api(status)) if is_refusal(status.code) => Ok(Written::Refused(Refusal {
            invalid: status.code == 422,
            why: format!("{what}: {}", status.message),
        })),
        Err(error) => Err(failure(what, error)),
    }
}

/// 429 and everything above 499 may be otherwise in a moment, 409 is a conflict, and what is not
/// found was deleted since.
fn is_refusal(code: u16) -> bool {
    matches!(code, 400 | 401 | 403 | 405 | 413 | 422)
}

/// Why a request did not do what it was to do.
pub(crate) fn failure(what: &str, error: Error) -> PlatformError {
    match &error {
        Error::Api(status) => match status.code {
            404 | 409 => PlatformError::Conflict(what.to_owned()),
            429 => PlatformError::Refused(format!("{what}: {}", status.message)),
            code if is_refusal(code) => {
                PlatformError::Cannot(format!("{what}: {}", status.message))
            }
            _ => PlatformError::Unreachable(Box::new(error)),
        },
        _ => PlatformError::Unreachable(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn of(code: u16) -> Error {
        Error::Api(Box::new(
            Status::failure("because", "Reason").with_code(code),
        ))
    }

    #[test]
    fn answers_are_told_apart_by_what_can_be_done_about_them() {
        let told = |code| match written("Pod a", Err::<(), _>(of(code))) {
            Ok(Written::Done(())) => "done".to_owned(),
            Ok(Written::Refused(refusal)) => format!("{refusal:?}"),
            Err(error) => error.to_string(),
        };
        let refusal = |invalid| {
            let why = "Pod a: because".to_owned();
            format!("{:?}", Refusal { invalid, why })
        };
        assert_eq!(told(403), refusal(false));
        assert_eq!(told(422), refusal(true));
        assert_eq!(told(404), "Pod a changed since it was read");
        assert_eq!(told(409), "Pod a changed since it was read");
        assert_eq!(told(429), "refused for now: Pod a: because");
        assert_eq!(told(500), "platform");
    }
}
