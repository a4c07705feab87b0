//! The keys of limits that a tenant, a group and a user have alike.

use super::Key;

// Said of all three.
pub(super) const ON_LIMIT: &str = "What becomes of a login when the user has as many sessions as he may have: it is \
     refused as `too_many_sessions`, or the oldest session of the user ends in its favour.";
pub(super) const SESSION_TIMEOUT: &str = "How long a session lasts at most, 1m to 365d; then it is ended, and the user \
     may log in again.";
pub(super) const IDLE_TIMEOUT: &str = "How long a session lasts at most in which the user sends nothing, 1m to \
     365d; probes of the link, DHCP and what others send to the user do not count. It ends up to a quarter of \
     that later, but no more than two minutes.";
pub(super) const QUOTA: &str = "How much one session carries, both ways together, in MB, GB, TB, MiB, GiB or \
     TiB; then it is ended, and the user may log in again. Looked at each 10 s.";
pub(super) const RATE_UP: &str = "How fast each session of the user carries what he sends, 8kbit/s to 1000Gbit/s, in kbit/s, \
     Mbit/s or Gbit/s; inner IP packets count, with their headers. What comes faster is dropped and counted as `rate_up`.";
pub(super) const RATE_DOWN: &str = "The same for what is sent to the user, counted as `rate_down`.";
pub(super) const BURST: &str =
    "How many bytes may pass at once beyond a rate, each way, 64KiB to 1GiB.";

// The rows of a group and of a user, for whom the tenant's limit holds otherwise.
pub(super) const ON_LIMIT_ROW: Key = Key {
    name: "on_limit",
    kind: "`\"refuse\"` or `\"replace\"`",
    default: "that of the tenant",
    example: "\"replace\"",
    about: ON_LIMIT,
};
pub(super) const SESSION_TIMEOUT_ROW: Key = Key {
    name: "session_timeout",
    kind: "duration",
    default: "that of the tenant",
    example: "\"12h\"",
    about: SESSION_TIMEOUT,
};
pub(super) const IDLE_TIMEOUT_ROW: Key = Key {
    name: "idle_timeout",
    kind: "duration",
    default: "that of the tenant",
    example: "\"30m\"",
    about: IDLE_TIMEOUT,
};
pub(super) const QUOTA_ROW: Key = Key {
    name: "quota",
    kind: "bytes",
    default: "that of the tenant",
    example: "\"10GB\"",
    about: QUOTA,
};
pub(super) const RATE_UP_ROW: Key = Key {
    name: "rate_up",
    kind: "bits per second",
    default: "that of the tenant",
    example: "\"20Mbit/s\"",
    about: RATE_UP,
};
pub(super) const RATE_DOWN_ROW: Key = Key {
    name: "rate_down",
    kind: "bits per second",
    default: "that of the tenant",
    example: "\"100Mbit/s\"",
    about: RATE_DOWN,
};
pub(super) const BURST_ROW: Key = Key {
    name: "burst",
    kind: "bytes",
    default: "that of the tenant",
    example: "\"1MB\"",
    about: BURST,
};
