//! The terminal: taken for the whole screen, and given back as it was however that ends.

use std::io::{self, Stdout, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};

/// Whether the terminal is taken: it is given back once.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);
/// A panic gives it back first, so that its message is read.
static ON_PANIC: Once = Once::new();

/// The whole screen. Dropping it gives the terminal back.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal: no echo, no line editing, a screen beside the one with the shell's lines. What
    /// is pasted comes marked as such, so that no text is taken for keys.
    ///
    /// # Errors
    /// If standard output is no terminal that can do this. Then it is as it was.
    pub fn take() -> io::Result<Self> {
        ON_PANIC.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
            }));
        });
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        let mut screen = Self { terminal };
        screen.take_again()?;
        Ok(screen)
    }

    /// Takes it again after [`Screen::give_back`], or after somebody else wrote on it.
    ///
    /// # Errors
    /// As [`Screen::take`].
    pub fn take_again(&mut self) -> io::Result<()> {
        IS_TAKEN.store(true, Ordering::SeqCst);
        let taken = enable_raw_mode()
            .and_then(|()| execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste))
            .and_then(|()| self.begin_anew());
        if taken.is_err() {
            give_back();
        }
        taken
    }

    /// The next picture is drawn whole. `Terminal::clear` would ask the terminal where its cursor is, and
    /// not every one answers.
    fn begin_anew(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Gives it back for the time being.
    pub fn give_back(&mut self) {
        give_back();
    }

    /// Draws a picture.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(picture).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        // Who hung up on us does not mind.
        let _ = execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}
