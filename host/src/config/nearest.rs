//! The name that was probably meant by one that is not known.

/// Returns the name of `known` that is most similar to `written`, if any is similar. A name is similar if it
/// differs in at most two letters, or if its last part (the short key) differs in at most a third of its letters. A key
/// in the wrong section is therefore found too. Among equally similar names the first one is returned.
pub fn nearest(written: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let rank = |name: &String| {
        let full = strsim::osa_distance(written, name);
        let short = strsim::osa_distance(last_part(written), last_part(name));
        let is_similar = full <= 2 || short * 3 <= last_part(written).len();
        // Without a section the full distance would favour short section names over the order of the table.
        let has_section = last_part(written) != written;
        is_similar.then_some((short.min(full), if has_section { full } else { 0 }))
    };
    known
        .filter_map(|name| Some((rank(&name)?, name)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, name)| name)
}

/// Returns the last part of a key or variable: `body-limit` of `server.body-limit`, `BODY_LIMIT` of
/// `HITCHY_SERVER__BODY_LIMIT`.
fn last_part(name: &str) -> &str {
    let key = name.rsplit_once("__").map_or(name, |(_, last)| last);
    key.rsplit_once('.').map_or(key, |(_, last)| last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::KEYS;

    fn nearest_key(written: &str) -> Option<String> {
        nearest(written, KEYS.iter().map(|key| key.name.to_owned()))
    }

    #[test]
    fn a_slip_finds_the_key_that_was_meant() {
        for (written, meant) in [
            ("server.lisen", "server.listen"),
            ("server.body_limit", "server.body-limit"),
            ("limits.body-limit", "server.body-limit"),
            ("server.memory", "limits.memory"),
            ("sever.listen", "server.listen"),
            ("listen", "server.listen"),
        ] {
            assert_eq!(nearest_key(written).as_deref(), Some(meant), "{written}");
        }
    }

    #[test]
    fn what_resembles_nothing_gets_no_hint() {
        assert_eq!(nearest_key("admin.console"), None);
        assert_eq!(nearest_key("x"), None);
    }
}
