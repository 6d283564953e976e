//! Which cores shards run on.

use std::str::FromStr;

/// The cores that this process may run on, in order.
pub fn allowed_cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

/// Above this a core number is a typing error.
const MAX_CORE: usize = 4095;

/// Cores in the order in which they were given: numbers and ranges, such as `0,2-3`.
///
/// ```
/// use ringbench_engine::CoreList;
///
/// assert_eq!("3,0-1".parse::<CoreList>().unwrap().0, [3, 0, 1]);
/// assert!("1-0".parse::<CoreList>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreList(pub Vec<usize>);

/// Why a text is no list of cores.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoreListError {
    /// Something in it is neither a number nor a range.
    #[error(
        "`{0}` is no core number (up to {max}) or range of them; a list looks like 0,2-3",
        max = MAX_CORE
    )]
    NoCore(String),
    /// A range ends before it begins.
    #[error("the range `{0}` runs backwards")]
    Backwards(String),
    /// Two shards would share a core.
    #[error("core {0} is listed twice")]
    Twice(usize),
}

impl FromStr for CoreList {
    type Err = CoreListError;

    fn from_str(text: &str) -> Result<Self, CoreListError> {
        let mut cores = Vec::new();
        for part in text.split(',') {
            let number = |text: &str| {
                let core = text.trim().parse::<usize>().ok().filter(|&core| core <= MAX_CORE);
                core.ok_or_else(|| CoreListError::NoCore(part.to_owned()))
            };
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(CoreListError::Backwards(part.to_owned()));
            }
            for core in first..=last {
                if cores.contains(&core) {
                    return Err(CoreListError::Twice(core));
                }
                cores.push(core);
            }
        }
        Ok(Self(cores))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_the_order_in_which_they_were_given() {
        for (text, cores) in
            [("3,0-1", &[3, 0, 1][..]), ("0, 2", &[0, 2]), ("0,2,4-7", &[0, 2, 4, 5, 6, 7])]
        {
            assert_eq!(text.parse(), Ok(CoreList(cores.to_vec())));
        }
        assert_eq!("0-4095".parse::<CoreList>().unwrap().0.len(), 4096);
    }

    #[test]
    fn what_is_no_list_is_told_why() {
        for (text, part) in
            [("", ""), ("1,", ""), ("a", "a"), ("0,1-", "1-"), ("-1", "-1"), ("0-4096", "0-4096")]
        {
            assert_eq!(text.parse::<CoreList>(), Err(CoreListError::NoCore(part.to_owned())));
        }
        for (text, said) in [
            ("0,x", "`x` is no core number (up to 4095) or range of them; a list looks like 0,2-3"),
            ("3-1", "the range `3-1` runs backwards"),
            ("0-2,1", "core 1 is listed twice"),
        ] {
            assert_eq!(text.parse::<CoreList>().unwrap_err().to_string(), said);
        }
    }
}
