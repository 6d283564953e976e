//! Colours, and what takes their place where there are none.

use ratatui::style::{Color, Modifier, Style};

/// What something means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing special, but it should be found.
    Strong,
    /// Of little weight.
    Faint,
    /// As it should be.
    Good,
    /// A neutral figure.
    Calm,
    /// Worth a look.
    Doubt,
    /// A reason not to trust the run.
    Bad,
}

/// The sixteen colours that every terminal has, in the shades that its owner chose; or none of them.
pub(super) fn style(tone: Tone, colour: bool) -> Style {
    let plain = Style::new();
    match tone {
        Tone::Faint => plain.add_modifier(Modifier::DIM),
        Tone::Good if colour => plain.fg(Color::Green),
        Tone::Calm if colour => plain.fg(Color::Cyan),
        Tone::Doubt if colour => plain.fg(Color::Yellow),
        Tone::Bad if colour => plain.fg(Color::Red),
        Tone::Good | Tone::Calm => plain,
        Tone::Strong | Tone::Doubt | Tone::Bad => plain.add_modifier(Modifier::BOLD),
    }
}
