//! A dashboard of the run on the terminal (`--tui`).
//!
//! | module | |
//! |---|---|
//! | this | the terminal: taking it, drawing, keys, giving it back |
//! | `state` | what is known of the run |
//! | `history` | a figure over the run, in bounded memory |
//! | `render`, `facts`, `theme` | from the state to a screen; pure |
//!
//! It is drawn on stderr's terminal, so that stdout stays the report's: `ringload --tui > report.txt`.
//! The screen is the alternate one: when the run is over, what was there before is there again.

use std::io::{self, BufWriter, IsTerminal, Stderr};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{execute, queue};
use signal_hook::consts::{SIGHUP, SIGQUIT};
use signal_hook::iterator::Signals;

use crate::config::Config;
use crate::run::News;

mod facts;
mod history;
mod render;
mod state;
mod theme;

#[cfg(test)]
mod tests;

pub use render::render;
pub use state::State;

/// News may come in bursts; nobody sees more pictures than this.
const DRAW_EVERY: Duration = Duration::from_millis(50);

/// Whether the terminal is in our hands. There is one per process.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether there is a terminal to draw on: stderr is one, and it is not one that can only print.
pub fn is_possible() -> bool {
    let can_move = std::env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb");
    can_move && io::stderr().is_terminal()
}

/// Gives the terminal back if it was taken; otherwise does nothing. To be called before the process
/// exits without dropping its [`Dashboard`].
pub fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Whoever closed the terminal does not want it back.
        let _ = execute!(io::stderr(), EndSynchronizedUpdate, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// The dashboard. It has the terminal until it is dropped.
#[derive(Debug)]
pub struct Dashboard {
    terminal: Terminal<CrosstermBackend<BufWriter<Stderr>>>,
    state: State,
    drawn: Option<Instant>,
}

impl Dashboard {
    /// Takes the terminal.
    ///
    /// The terminal no longer makes signals of keys: [`poll`](Self::poll) has to be called. A panic
    /// and signals that end the process at once give the terminal back before.
    ///
    /// # Errors
    ///
    /// When stderr is no terminal, or cannot be set up.
    pub fn new(config: &Config) -> io::Result<Self> {
        if !is_possible() {
            let why = "--tui needs a terminal on stderr, and a TERM that is not dumb";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        // By convention any text in it but none at all (https://no-color.org).
        let colour = std::env::var_os("NO_COLOR").is_none_or(|text| text.is_empty());
        restore_on_panic();
        restore_on_signal()?;
        let terminal = take().inspect_err(|_| restore())?;
        let mut dashboard = Self { terminal, state: State::new(config, colour), drawn: None };
        dashboard.draw();
        Ok(dashboard)
    }

    /// Takes news of the run in, and draws.
    pub fn show(&mut self, news: &News) {
        self.state.take(news);
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= DRAW_EVERY) {
            self.draw();
        }
    }

    /// Whether the run was asked to end: by q or Ctrl-C, since the last call. To be called after
    /// each piece of news; it never waits. The run is over when what is under way is, so that
    /// this may be true more than once.
    pub fn poll(&mut self) -> bool {
        let (mut asked, mut resized) = (false, false);
        while TAKEN.load(Ordering::SeqCst) && event::poll(Duration::ZERO).unwrap_or(false) {
            match event::read() {
                Ok(Event::Key(key)) => asked |= ends(key),
                Ok(Event::Resize(..)) => resized = true,
                Ok(_) => (),
                // No more keys come from a terminal that is gone.
                Err(_) => break,
            }
        }
        if asked {
            self.state.stop();
        }
        if asked || resized {
            self.draw();
        }
        asked
    }

    fn draw(&mut self) {
        if !TAKEN.load(Ordering::SeqCst) {
            return;
        }
        self.drawn = Some(Instant::now());
        // Whoever closed the terminal does not want to know. The picture is shown at once where the
        // terminal knows how: no half of it is ever seen.
        let _ = queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate);
        let _ = self.terminal.draw(|frame| render(frame, &self.state));
        let _ = execute!(self.terminal.backend_mut(), EndSynchronizedUpdate);
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        restore();
    }
}

fn take() -> io::Result<Terminal<CrosstermBackend<BufWriter<Stderr>>>> {
    TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    execute!(io::stderr(), EnterAlternateScreen, Hide)?;
    // stderr itself has no buffer: each cell would be a write.
    Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(1 << 16, io::stderr())))
}

/// Whether a key ends the run.
fn ends(key: KeyEvent) -> bool {
    let pressed = key.kind != KeyEventKind::Release;
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    pressed
        && match key.code {
            KeyCode::Char('c' | 'C') => control,
            KeyCode::Char('q' | 'Q') => !control,
            _ => false,
        }
}

/// Without it the message would be gone with the alternate screen, and where a panic aborts, nothing
/// is dropped.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
    });
}

/// SIGINT and SIGTERM end the run, and the dashboard is dropped then. These two would end the process.
/// They stay caught when the dashboard is gone, as what was caught once is not given back.
fn restore_on_signal() -> io::Result<()> {
    static CAUGHT: AtomicBool = AtomicBool::new(false);
    if CAUGHT.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    let mut signals = Signals::new([SIGHUP, SIGQUIT])?;
    thread::Builder::new().name("terminal".to_owned()).spawn(move || {
        for signal in signals.forever() {
            restore();
            // Ends the process as if nobody had caught it.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    })?;
    Ok(())
}
