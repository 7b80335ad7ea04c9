//! What systemd is told, if it is that which has started this.

use sd_notify::NotifyState;

/// Tells whoever started this, if that wants to know.
pub(super) fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot tell systemd");
    }
}
