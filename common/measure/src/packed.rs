//! Histograms as text, and back: HdrHistogram's V2 format with the exact moments beside it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram as Buckets;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use crate::histogram::Histogram;
use crate::stats::{Moments, RateSamples};

/// All that a histogram holds.
///
/// The buckets are in the form that every HdrHistogram library reads. What these libraries work out
/// from buckets is up to 0.1 % off; the exact figures stand beside them, so that what is unpacked
/// is the same as what was packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// The buckets: HdrHistogram V2, compressed, in base64.
    pub hdr_v2: String,
    /// The smallest value; 0 when there is none.
    pub min: u64,
    /// The largest value; 0 when there is none.
    pub max: u64,
    /// The sum of all values.
    pub sum: u128,
    /// The sum of their squares.
    pub sum_squares: u128,
}

/// Why text is no histogram of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// The buckets are not base64.
    #[error("the buckets are not base64: {0}")]
    Base64(String),
    /// The buckets are no HdrHistogram.
    #[error("the buckets are no HdrHistogram of version 2: {0}")]
    Buckets(String),
    /// It is a histogram of another shape.
    #[error(
        "the buckets are of another kind: {digits} digits from {low} to {high}, not {} from {} to \
         {}", expected.2, expected.0, expected.1
    )]
    Shape {
        /// Its finest bucket.
        low: u64,
        /// Its highest value.
        high: u64,
        /// Its significant digits.
        digits: u8,
        /// The same three as they should be.
        expected: (u64, u64, u8),
    },
    /// The buckets and the figures beside them cannot come from the same values.
    #[error("the buckets and the smallest, largest value or sum beside them contradict each other")]
    Contradiction,
}

impl Histogram {
    /// The buckets as HdrHistogram's V2 format, compressed, in base64: the form in which HDR logs
    /// hold them.
    pub fn to_hdr_v2(&self) -> String {
        encode(&self.buckets)
    }

    /// Everything in it.
    pub fn pack(&self) -> Packed {
        pack(&self.buckets, &self.moments)
    }

    /// A histogram of which [`Histogram::pack`] gives the same.
    ///
    /// # Errors
    ///
    /// When it does not come from there.
    pub fn unpack(packed: &Packed) -> Result<Self, UnpackError> {
        let mut empty = Self::new();
        let (buckets, moments) = unpack(packed, &empty.buckets, Self::HIGHEST_NS)?;
        (empty.buckets, empty.moments) = (buckets, moments);
        Ok(empty)
    }
}

impl RateSamples {
    /// Everything in them.
    pub fn pack(&self) -> Packed {
        pack(&self.buckets, &self.moments)
    }

    /// Samples of which [`RateSamples::pack`] gives the same.
    ///
    /// # Errors
    ///
    /// When they do not come from there.
    pub fn unpack(packed: &Packed) -> Result<Self, UnpackError> {
        let mut empty = Self::new();
        let (buckets, moments) = unpack(packed, &empty.buckets, Self::HIGHEST_PER_SEC)?;
        (empty.buckets, empty.moments) = (buckets, moments);
        Ok(empty)
    }
}

fn encode(buckets: &Buckets<u64>) -> String {
    let mut bytes = Vec::new();
    // It fails where a count has 64 bits or where writing fails; memory takes all.
    V2DeflateSerializer::new()
        .serialize(buckets, &mut bytes)
        .unwrap_or_else(|_| unreachable!("counts are far below 2^63"));
    BASE64.encode(bytes)
}

fn pack(buckets: &Buckets<u64>, moments: &Moments) -> Packed {
    Packed {
        hdr_v2: encode(buckets),
        min: moments.min(),
        max: moments.max(),
        sum: moments.sum(),
        sum_squares: moments.sum_squares(),
    }
}

/// `like` gives the shape; values above `highest` are in its last bucket.
fn unpack(
    packed: &Packed,
    like: &Buckets<u64>,
    highest: u64,
) -> Result<(Buckets<u64>, Moments), UnpackError> {
    let bytes = BASE64.decode(&packed.hdr_v2).map_err(|e| UnpackError::Base64(e.to_string()))?;
    let read: Buckets<u64> = Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| UnpackError::Buckets(error.to_string()))?;
    let shape = |buckets: &Buckets<u64>| (buckets.low(), buckets.high(), buckets.sigfig());
    if shape(&read) != shape(like) {
        let (low, high, digits) = shape(&read);
        return Err(UnpackError::Shape { low, high, digits, expected: shape(like) });
    }
    let &Packed { min, max, sum, sum_squares, .. } = packed;
    let count = read.len();
    let moments = Moments::from_parts(count, min, max, sum, sum_squares);
    let same_bucket = |edge: u64, value: u64| read.equivalent(edge, value.min(highest));
    let consistent = if count == 0 {
        (min, max, sum, sum_squares) == (0, 0, 0, 0)
    } else {
        let bounds = u128::from(min) * u128::from(count)..=u128::from(max) * u128::from(count);
        min <= max
            && bounds.contains(&sum)
            && same_bucket(read.min(), min)
            && same_bucket(read.max(), max)
    };
    if consistent { Ok((read, moments)) } else { Err(UnpackError::Contradiction) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|&value| histogram.record(value));
        histogram
    }

    fn assert_same(left: &Histogram, right: &Histogram) {
        assert_eq!(left.summary(), right.summary());
        assert_eq!(left.pack(), right.pack());
        assert!(left.buckets().eq(right.buckets()));
    }

    #[test]
    fn nothing_stays_nothing() {
        let empty = Histogram::new();
        assert_same(&Histogram::unpack(&empty.pack()).unwrap(), &empty);
        let none = RateSamples::unpack(&RateSamples::new().pack()).unwrap();
        assert_eq!(none.moments(), RateSamples::new().moments());
    }

    #[test]
    fn what_was_unpacked_goes_on() {
        let mut unpacked = Histogram::unpack(&of(&[5, 2_000, u64::MAX]).pack()).unwrap();
        unpacked.record(1);
        unpacked.merge(&of(&[77]));
        assert_same(&unpacked, &of(&[5, 2_000, u64::MAX, 1, 77]));
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let good = of(&[1_000, 2_000]).pack();
        let refused = |packed: Packed| Histogram::unpack(&packed).expect_err("refused");
        let with = |hdr_v2: &str| Packed { hdr_v2: hdr_v2.to_owned(), ..good.clone() };
        assert!(matches!(refused(with("***")), UnpackError::Base64(_)));
        assert!(matches!(refused(with("AAAA")), UnpackError::Buckets(_)));
        assert!(matches!(refused(with(&good.hdr_v2[..16])), UnpackError::Buckets(_)));
        let rates = RateSamples::new().pack().hdr_v2;
        let error = refused(with(&rates));
        assert!(error.to_string().contains("2 digits from 1 to 1000000000"), "{error}");
        for wrong in [
            Packed { min: 0, ..good.clone() },
            Packed { max: 5_000, ..good.clone() },
            Packed { min: 3_000, ..good.clone() },
            Packed { sum: 1, ..good.clone() },
            Packed { min: 0, max: 0, sum: 0, sum_squares: 0, ..good.clone() },
            Packed { hdr_v2: Histogram::new().to_hdr_v2(), ..good.clone() },
        ] {
            assert_eq!(refused(wrong), UnpackError::Contradiction);
        }
    }

    proptest! {
        #[test]
        fn unpacking_undoes_packing(values in prop::collection::vec(any::<u64>(), 0..200)) {
            let histogram = of(&values);
            let unpacked = Histogram::unpack(&histogram.pack()).unwrap();
            assert_same(&unpacked, &histogram);

            let mut rates = RateSamples::new();
            values.iter().for_each(|&value| rates.record(value));
            let unpacked = RateSamples::unpack(&rates.pack()).unwrap();
            prop_assert_eq!(unpacked.pack(), rates.pack());
            prop_assert_eq!(unpacked.moments(), rates.moments());
        }
    }
}
