//! Which arm runs when, and on which cores. All of it is fixed before the first round, by a seed.
//!
//! Beside A and B there is a third arm, the *control*: A once more, in all respects. Whatever
//! difference it shows against A is one of the experiment, not of the arms.

use serde::Serialize;

/// How rounds are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Two arms at the same time, each on cores of its own, which they swap from round to round:
    /// what disturbs one disturbs the other.
    Duet,
    /// One arm after the other, in shuffled order and then backwards, on all cores.
    Interleaved,
}

/// Who runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The first.
    A,
    /// The second.
    B,
    /// The first once more.
    Control,
}

/// An arm on its cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Who.
    pub arm: Arm,
    /// On which of the sets of cores.
    pub place: usize,
}

/// What runs at the same time.
pub type Slot = Vec<Seat>;

/// What gives one ratio of B to A, and one of the control to A.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Its runs in their order.
    pub slots: Vec<Slot>,
}

/// All rounds.
pub fn plan(mode: Mode, rounds: usize, seed: u64) -> Vec<Round> {
    let mut random = fastrand::Rng::with_seed(seed);
    match mode {
        Mode::Duet => duets(rounds, &mut random),
        Mode::Interleaved => interleaved(rounds, &mut random),
    }
}

/// Each round holds two duets, A with B and A with the control, in random order. Where A begins is
/// random; from then on it changes sides each time. Who of a duet starts first is random for two
/// rounds, and the other way round in the next two: on either side each was first as often.
fn duets(rounds: usize, random: &mut fastrand::Rng) -> Vec<Round> {
    let mut place_of_a = [random.usize(..2), random.usize(..2)];
    let mut other_is_first = [[false; 2]; 2];
    let mut planned = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let mut slots = Vec::with_capacity(2);
        for (duet, other) in [Arm::B, Arm::Control].into_iter().enumerate() {
            let first = &mut other_is_first[duet][round % 2];
            *first = if round % 4 < 2 { random.bool() } else { !*first };
            let place = place_of_a[duet];
            let mut slot = vec![Seat { arm: Arm::A, place }, Seat { arm: other, place: 1 - place }];
            if *first {
                slot.reverse();
            }
            slots.push(slot);
        }
        random.shuffle(&mut slots);
        place_of_a = place_of_a.map(|place| 1 - place);
        planned.push(Round { slots });
    }
    planned
}

/// Two rounds are a block: the three arms in random order, then backwards (ABBA with three), so that
/// what drifts evenly weighs on all alike.
fn interleaved(rounds: usize, random: &mut fastrand::Rng) -> Vec<Round> {
    let mut planned: Vec<Round> = Vec::with_capacity(rounds + 1);
    while planned.len() < rounds {
        let mut arms = [Arm::A, Arm::B, Arm::Control];
        random.shuffle(&mut arms);
        let slots: Vec<Slot> = arms.map(|arm| vec![Seat { arm, place: 0 }]).to_vec();
        let backwards = slots.iter().rev().cloned().collect();
        planned.extend([Round { slots }, Round { slots: backwards }]);
    }
    planned.truncate(rounds);
    planned
}

/// The cores of a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The server's.
    pub server: Vec<usize>,
    /// The load generator's.
    pub load: Vec<usize>,
}

/// The cores do not suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--mode duet runs two arms at the same time and needs two cores, but {0} may be used here: take \
     --mode interleaved"
)]
pub struct TooFewCores(usize);

/// Deals out the cores: to two places that are alike in a duet, to one otherwise. A place of two and
/// more gives server and load cores of their own.
///
/// # Errors
///
/// When a duet has fewer than two.
pub fn places(mode: Mode, cores: &[usize]) -> Result<Vec<Place>, TooFewCores> {
    let sets = match mode {
        Mode::Duet if cores.len() < 2 => return Err(TooFewCores(cores.len())),
        Mode::Duet => {
            // An odd core is left over: both get as many.
            let half = cores.len() / 2;
            vec![&cores[..half], &cores[half..2 * half]]
        }
        Mode::Interleaved => vec![cores],
    };
    Ok(sets.into_iter().map(place).collect())
}

fn place(cores: &[usize]) -> Place {
    let (server, load) = cores.split_at(cores.len() / 2);
    let server = if server.is_empty() { load } else { server };
    Place { server: server.to_vec(), load: load.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duet_swaps_its_cores_each_round() {
        for seed in 0..20 {
            let rounds = plan(Mode::Duet, 8, seed);
            assert_eq!(rounds.len(), 8);
            for other in [Arm::B, Arm::Control] {
                let places: Vec<usize> =
                    rounds.iter().map(|round| place_beside(round, other)).collect();
                assert!(places.windows(2).all(|pair| pair[0] != pair[1]), "{places:?}");
            }
        }
    }

    /// Where A is when `other` runs beside it; both are there, on different places.
    fn place_beside(round: &Round, other: Arm) -> usize {
        assert_eq!(round.slots.len(), 2);
        let has_other = |slot: &&Slot| slot.iter().any(|seat| seat.arm == other);
        let slot = round.slots.iter().find(has_other).expect("it runs");
        assert!(slot.len() == 2 && slot[0].place + slot[1].place == 1);
        slot.iter().find(|seat| seat.arm == Arm::A).expect("A is beside it").place
    }

    #[test]
    fn which_duet_is_first_and_who_of_it_is_left_to_chance() {
        let rounds = plan(Mode::Duet, 40, 1);
        let with_b = |slot: &Slot| slot.iter().any(|seat| seat.arm == Arm::B);
        let first = rounds.iter().filter(|round| with_b(&round.slots[0])).count();
        assert!((10..=30).contains(&first), "{first} of 40");
        // Each of A and the other is first on each side in a quarter of the rounds.
        for other in [Arm::B, Arm::Control] {
            let of_other = |slot: &&Slot| slot.iter().any(|seat| seat.arm == other);
            let slots: Vec<&Slot> =
                rounds.iter().flat_map(|round| &round.slots).filter(of_other).collect();
            for first in [Arm::A, other].into_iter().flat_map(|arm| [(arm, 0), (arm, 1)]) {
                let is_first = |slot: &&&Slot| (slot[0].arm, slot[0].place) == first;
                assert_eq!(slots.iter().filter(is_first).count(), 10, "{first:?}");
            }
        }
    }

    #[test]
    fn interleaved_blocks_read_the_same_backwards() {
        let rounds = plan(Mode::Interleaved, 9, 3);
        assert_eq!(rounds.len(), 9);
        let arms = |round: &Round| -> Vec<Arm> {
            round.slots.iter().flatten().map(|seat| seat.arm).collect()
        };
        for pair in rounds.chunks_exact(2) {
            let backwards: Vec<Arm> = arms(&pair[1]).into_iter().rev().collect();
            assert_eq!(arms(&pair[0]), backwards);
            for arm in [Arm::A, Arm::B, Arm::Control] {
                assert_eq!(backwards.iter().filter(|found| **found == arm).count(), 1);
            }
        }
        let orders: Vec<Vec<Arm>> = rounds.iter().step_by(2).map(arms).collect();
        assert!(orders.iter().any(|order| *order != orders[0]), "shuffled: {orders:?}");
    }

    #[test]
    fn the_seed_decides() {
        for mode in [Mode::Duet, Mode::Interleaved] {
            assert_eq!(plan(mode, 10, 5), plan(mode, 10, 5));
            assert!((0..10).any(|seed| plan(mode, 10, seed) != plan(mode, 10, 5)));
        }
    }

    #[test]
    fn places_are_alike() {
        let of = |server: &[usize], load: &[usize]| Place {
            server: server.to_vec(),
            load: load.to_vec(),
        };
        let duet = |cores: &[usize]| places(Mode::Duet, cores).expect("enough");
        assert_eq!(duet(&[0, 1]), [of(&[0], &[0]), of(&[1], &[1])]);
        assert_eq!(duet(&[0, 1, 2]), [of(&[0], &[0]), of(&[1], &[1])]);
        assert_eq!(duet(&[0, 1, 2, 3]), [of(&[0], &[1]), of(&[2], &[3])]);
        assert_eq!(duet(&[4, 5, 6, 7, 8, 9]), [of(&[4], &[5, 6]), of(&[7], &[8, 9])]);
        let alone = |cores: &[usize]| places(Mode::Interleaved, cores).expect("enough");
        assert_eq!(alone(&[3]), [of(&[3], &[3])]);
        assert_eq!(alone(&[0, 1]), [of(&[0], &[1])]);
        assert!(
            places(Mode::Duet, &[0]).is_err_and(|error| error.to_string().contains("interleaved"))
        );
    }
}
