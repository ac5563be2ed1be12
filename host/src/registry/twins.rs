//! Files that differ only in their extension, as `chat.js` and `chat.wasm`: they would be one handler to the settings.

use std::collections::BTreeMap;

use super::listing::{Listing, Unfit};
use crate::names::bare;

/// Takes all but one of the files of each handler out of the listing. The served file stays, or else the first by name.
pub(super) fn leave_out(listing: &mut Listing, is_served: impl Fn(&str) -> bool) {
    let mut keepers: BTreeMap<String, String> = BTreeMap::new();
    for found in &listing.found {
        let name = bare(&found.name).to_owned();
        let keeper = keepers.entry(name).or_insert_with(|| found.name.clone());
        if is_served(&found.name) {
            keeper.clone_from(&found.name);
        }
    }
    let is_kept = |name: &str| keepers.get(bare(name)).is_none_or(|keeper| keeper == name);
    let found = std::mem::take(&mut listing.found);
    let (kept, left_out) = found.into_iter().partition(|found| is_kept(&found.name));
    listing.found = kept;
    let unfit = left_out.into_iter().map(|found| Unfit {
        cause: format!(
            "{} is the handler {} already; remove one of the two files, or rename it",
            keepers[bare(&found.name)],
            bare(&found.name)
        ),
        name: found.name,
    });
    listing.unfit.extend(unfit);
}
