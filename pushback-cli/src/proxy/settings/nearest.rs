//! Which key was meant by one that there is not.

/// The nearest of these names, if one is near.
pub(super) fn nearest<'a>(said: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = names.into_iter().filter(|name| are_near(said, name));
    near.min_by_key(|name| distance(said, name))
}

/// Whether one may be meant by the other: every third letter may be wrong, and one in any case.
pub(super) fn are_near(said: &str, name: &str) -> bool {
    distance(said, name) <= (name.len() / 3).max(1)
}

/// How many letters are missing, too many or other ones; two in each other's place are one mistake.
fn distance(one: &str, other: &str) -> usize {
    let [one, other] = [one, other].map(|text| text.chars().collect::<Vec<_>>());
    let mut rows = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            if i == 0 || j == 0 {
                rows[i][j] = i + j;
                continue;
            }
            let is_other = usize::from(one[i - 1] != other[j - 1]);
            let least = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + is_other);
            let are_swapped = i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
            rows[i][j] = if are_swapped { least.min(rows[i - 2][j - 2] + 1) } else { least };
        }
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_misspelt_is_found_and_what_is_another_word_is_not() {
        let names = ["access_log", "name", "to", "routes", "line", "line_wait"];
        for (said, meant) in [
            ("acess_log", Some("access_log")),
            ("access-log", Some("access_log")),
            ("nmae", Some("name")),
            ("too", Some("to")),
            ("route", Some("routes")),
            ("linewait", Some("line_wait")),
            ("lines", Some("line")),
            ("colour", None),
            ("url", None),
            ("", None),
        ] {
            assert_eq!(nearest(said, names), meant, "{said}");
        }
    }
}
