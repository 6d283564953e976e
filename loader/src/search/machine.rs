//! Which rate to try next: a state machine without clock, server or chance.

/// How far and how finely to search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The rate of the first step, in requests per second.
    pub start_rate: f64,
    /// No lower rate is tried.
    pub min_rate: f64,
    /// No higher rate is tried (`--max-rate`).
    pub max_rate: f64,
    /// How close to the limit to come: 0.01 for 1 % (`--precision`).
    pub precision: f64,
    /// Runs that confirm a rate (`--repeats`).
    pub repeats: u32,
    /// How many of them have to meet the objectives.
    pub agreement: Agreement,
    /// No more steps than this are made.
    pub max_steps: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start_rate: 1_000.0,
            min_rate: 1.0,
            max_rate: 100e6,
            precision: 0.01,
            repeats: 3,
            agreement: Agreement::All,
            max_steps: 100,
        }
    }
}

/// Why a search cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum LimitsError {
    /// Rates that are not in their order.
    #[error("the start rate {start} must be between {min} and --max-rate {max}")]
    Rates {
        /// The lowest.
        min: f64,
        /// The first.
        start: f64,
        /// The highest.
        max: f64,
    },
    /// A precision that needs no search, or too long a one.
    #[error("--precision {0} must be from 0.001 (0.1 %) to 1 (100 %)")]
    Precision(f64),
    /// A rate that nobody confirms.
    #[error("--repeats must be from 1 to 100")]
    Repeats,
}

impl Limits {
    fn check(&self) -> Result<(), LimitsError> {
        let Self { start_rate: start, min_rate: min, max_rate: max, .. } = *self;
        // Written so that NaN is refused as well.
        if !(min > 0.0 && min <= start && start <= max && max.is_finite()) {
            return Err(LimitsError::Rates { min, start, max });
        }
        if !(0.001..=1.0).contains(&self.precision) {
            return Err(LimitsError::Precision(self.precision));
        }
        if !(1..=100).contains(&self.repeats) {
            return Err(LimitsError::Repeats);
        }
        Ok(())
    }
}

/// How many of the confirming runs have to meet the objectives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Agreement {
    /// All of them.
    #[default]
    All,
    /// More than half of them.
    Majority,
}

/// Why a step is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// No rate has failed yet.
    Rise,
    /// No rate has met the objectives yet.
    Fall,
    /// Between one that met them and one that failed.
    Bisect,
    /// Again at the highest rate that met them.
    Confirm,
    /// Again at the lowest rate that failed: was that chance?
    Refute,
}

/// A run to be made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Counted from 1.
    pub number: u32,
    /// Requests per second.
    pub rate: f64,
    /// Why.
    pub purpose: Purpose,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepResult {
    /// Whether it met all objectives.
    pub met: bool,
}

/// Repeated runs at one rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confirmation {
    /// Requests per second.
    pub rate: f64,
    /// How many runs there were. Those of the search itself, which chose this rate by their
    /// outcome, do not count.
    pub runs: u32,
    /// How many of them met the objectives.
    pub met: u32,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A rate is confirmed, and the next one above it fails.
    Bracketed,
    /// The highest rate that may be tried is confirmed, or one within the precision of it: the
    /// limit is above it.
    MaxRate,
    /// The lowest rate that may be tried fails.
    MinRate,
    /// No steps are left.
    Steps,
    /// It was stopped from outside.
    Stopped,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Why the search ended.
    pub reason: Reason,
    /// The highest rate that was confirmed.
    pub confirmed: Option<Confirmation>,
    /// The lowest rate above it that failed (of all, if none is confirmed), with the runs that were
    /// made to confirm or to refute it.
    pub failed: Option<Confirmation>,
}

/// A search that is going on: [`next_step`](Self::next_step), run, [`observe`](Self::observe), and
/// again.
#[derive(Clone, Debug)]
pub struct Search {
    limits: Limits,
    /// Rates that met the objectives, rising; all below `failed`.
    passed: Vec<f64>,
    failed: Option<Confirmation>,
    /// All rates at which a run has failed.
    blemished: Vec<f64>,
    /// The highest rate that was confirmed; it is in `passed` as long as it has not failed since.
    confirmed: Option<Confirmation>,
    /// Repeated runs that are being made.
    repeating: Option<(Purpose, Confirmation)>,
    /// The factor of the next rise, and of the next fall.
    stride: f64,
    steps: u32,
    /// The step that has not been observed yet.
    pending: Option<Step>,
    reason: Option<Reason>,
}

impl Search {
    /// A search that has not begun.
    ///
    /// # Errors
    ///
    /// When the limits leave nothing to search.
    pub fn new(limits: Limits) -> Result<Self, LimitsError> {
        limits.check()?;
        Ok(Self {
            limits,
            passed: Vec::new(),
            failed: None,
            blemished: Vec::new(),
            confirmed: None,
            repeating: None,
            stride: 2.0,
            steps: 0,
            pending: None,
            reason: None,
        })
    }

    /// The run to be made next, the same until it is observed; `None` when the search is over.
    pub fn next_step(&mut self) -> Option<Step> {
        if self.pending.is_none() && self.reason.is_none() {
            if self.steps >= self.limits.max_steps {
                self.reason = Some(Reason::Steps);
            } else if let Some((purpose, rate)) = self.choose() {
                self.steps += 1;
                self.pending = Some(Step { number: self.steps, rate, purpose });
            }
        }
        self.pending
    }

    /// Takes the outcome of the step that [`next_step`](Self::next_step) gave; without one, nothing
    /// happens.
    pub fn observe(&mut self, result: StepResult) {
        let Some(step) = self.pending.take() else { return };
        if !result.met {
            self.blemished.push(step.rate);
        }
        match &mut self.repeating {
            Some((_, runs)) => {
                runs.runs += 1;
                runs.met += u32::from(result.met);
                self.conclude();
            }
            None if result.met => self.passed.push(step.rate),
            None => self.fail(Confirmation { rate: step.rate, runs: 0, met: 0 }),
        }
    }

    /// What was found; one that is not over is stopped.
    pub fn finish(self) -> Found {
        let reason = self.reason.unwrap_or(Reason::Stopped);
        Found { reason, confirmed: self.confirmed, failed: self.failed }
    }

    /// What to run next, or the reason why there is nothing.
    fn choose(&mut self) -> Option<(Purpose, f64)> {
        if let Some((purpose, runs)) = self.repeating {
            return Some((purpose, runs.rate));
        }
        let Limits { start_rate, min_rate, max_rate, .. } = self.limits;
        match (self.passed.last().copied(), self.failed) {
            (None, None) => Some((Purpose::Rise, start_rate)),
            (None, Some(failed)) if failed.rate <= min_rate => self.end(Reason::MinRate),
            (None, Some(failed)) => {
                let rate = tidy(failed.rate / self.stride, min_rate, failed.rate);
                Some((Purpose::Fall, rate.max(min_rate)))
            }
            (Some(top), None) if self.is_highest(top) => self.confirm(top, Reason::MaxRate),
            (Some(top), None) => {
                let wanted = tidy(top * self.stride, top, max_rate).min(max_rate);
                let is_bad = self.has_failed_for_good(wanted);
                let rate = if is_bad { self.between(top, wanted) } else { wanted };
                // After a rate that was thought to fail did not, the limit is probably near.
                self.stride = (self.stride * self.stride).min(2.0);
                Some((Purpose::Rise, rate))
            }
            (Some(top), Some(failed)) => {
                if self.is_next(top, failed.rate) {
                    self.confirm(top, Reason::Bracketed)
                } else {
                    Some((Purpose::Bisect, self.between(top, failed.rate)))
                }
            }
        }
    }

    /// Runs the highest rate again, then the one above it; ends when both are done.
    fn confirm(&mut self, top: f64, reason: Reason) -> Option<(Purpose, f64)> {
        let is_confirmed = self.confirmed.is_some_and(|confirmed| confirmed.rate >= top);
        let (purpose, rate) = match self.failed {
            _ if !is_confirmed => (Purpose::Confirm, top),
            Some(failed) if failed.runs == 0 => (Purpose::Refute, failed.rate),
            _ => return self.end(reason),
        };
        self.repeating = Some((purpose, Confirmation { rate, runs: 0, met: 0 }));
        Some((purpose, rate))
    }

    /// Ends the repetition once further runs could not change its outcome. A confirmation is
    /// completed nevertheless unless it has failed: its runs are the evidence.
    fn conclude(&mut self) {
        let Some((purpose, runs)) = self.repeating else { return };
        let repeats = self.limits.repeats;
        let needed = match self.limits.agreement {
            Agreement::All => repeats,
            Agreement::Majority => repeats / 2 + 1,
        };
        let is_lost = runs.runs - runs.met > repeats - needed;
        if !is_lost && runs.runs < repeats {
            return;
        }
        self.repeating = None;
        match (purpose, self.limits.agreement) {
            _ if is_lost => self.fail(runs),
            (Purpose::Refute, Agreement::All) => {
                // The one failure was chance, so that the limit is above; but this rate has failed
                // once and cannot be the one where all runs meet their objectives.
                self.failed = None;
                self.stride = (1.0 + self.limits.precision).powi(2);
            }
            (Purpose::Refute, Agreement::Majority) => {
                self.failed = None;
                self.passed.push(runs.rate);
                self.confirmed = Some(runs);
                self.stride = 1.0 + self.limits.precision;
            }
            _ => self.confirmed = Some(runs),
        }
    }

    /// A rate between two others.
    fn between(&self, low: f64, high: f64) -> f64 {
        let mut middle = tidy((low * high).sqrt(), low, high);
        while self.has_failed_for_good(middle) {
            middle = (low * middle).sqrt();
        }
        middle
    }

    /// Where all runs have to meet their objectives, a rate at which one has failed cannot be found
    /// any more. An upper end that was refuted leaves such rates behind.
    fn has_failed_for_good(&self, rate: f64) -> bool {
        self.limits.agreement == Agreement::All && self.blemished.contains(&rate)
    }

    /// Whether there is nothing to try above a rate that met the objectives.
    fn is_highest(&self, top: f64) -> bool {
        let max_rate = self.limits.max_rate;
        top >= max_rate || (self.has_failed_for_good(max_rate) && self.is_next(top, max_rate))
    }

    /// Whether a rate is so close above another that there is nothing to try between them.
    fn is_next(&self, low: f64, high: f64) -> bool {
        // What rounding does to the product must not count as a gap.
        high <= low * (1.0 + self.limits.precision) * (1.0 + 1e-9)
    }

    /// A rate that failed is the new upper end: nothing at or above it counts as passed any more.
    fn fail(&mut self, failed: Confirmation) {
        self.passed.retain(|rate| *rate < failed.rate);
        self.failed = Some(failed);
        self.stride = 2.0;
    }

    fn end(&mut self, reason: Reason) -> Option<(Purpose, f64)> {
        self.reason = Some(reason);
        None
    }
}

/// A whole number near `rate`, for people, if there is one between the bounds.
fn tidy(rate: f64, above: f64, below: f64) -> f64 {
    let whole = rate.round();
    if rate >= 100.0 && whole > above && whole < below { whole } else { rate }
}
