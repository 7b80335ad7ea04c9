//! Standings as one page with plots.

use super::contest::Standings;

/// The page.
pub fn report(standings: &Standings) -> Result<String, String> {
    Ok(super::table(standings))
}
