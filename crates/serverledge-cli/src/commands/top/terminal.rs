//! The terminal while `top` draws on it: raw, on a screen of its own; and as it was before when that ends.

use std::io::{self, Write as _};
use std::panic;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::view::{LineLook, ScreenLine};

/// The other screen, without cursor and without wrapping of long lines (xterm's control sequences).
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l";
const LEAVE: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";
/// For a terminal that does not tell its size.
const SIZE_DEFAULT: (usize, usize) = (80, 24);

/// The terminal. Dropping it gives it back; so does a panic, before it is told.
pub(super) struct LiveTerminal {
    before: Termios,
    has_colours: bool,
}

impl LiveTerminal {
    /// Takes the terminal that stdin and stdout are.
    pub(super) fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        let at_panic = before.clone();
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore(&at_panic);
            told(panic);
        }));
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        let terminal = Self {
            before,
            has_colours: crate::output::has_colours(),
        };
        write(ENTER)?;
        Ok(terminal)
    }

    /// Its columns and lines.
    pub(super) fn size() -> (usize, usize) {
        let told = tcgetwinsize(io::stdout()).ok();
        told.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)))
            .filter(|(columns, lines)| *columns > 0 && *lines > 0)
            .unwrap_or(SIZE_DEFAULT)
    }

    /// Shows these lines and nothing else.
    pub(super) fn draw(&self, lines: &[ScreenLine]) -> io::Result<()> {
        let mut out = String::from("\u{1b}[H");
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                out.push_str("\r\n");
            }
            match self.code(line.look) {
                Some(code) => out.push_str(&format!("\u{1b}[{code}m{}\u{1b}[0m", line.text)),
                None => out.push_str(&line.text),
            }
            out.push_str("\u{1b}[K");
        }
        out.push_str("\u{1b}[J");
        write(&out)
    }

    const fn code(&self, look: LineLook) -> Option<&'static str> {
        match look {
            LineLook::Plain => None,
            LineLook::Head => Some("7"),
            LineLook::Faint => Some("2"),
            LineLook::Bad if self.has_colours => Some("31"),
            LineLook::Bad => Some("1"),
        }
    }
}

impl Drop for LiveTerminal {
    fn drop(&mut self) {
        restore(&self.before);
    }
}

/// Nobody can be told if that fails.
fn restore(before: &Termios) {
    let _ = write(LEAVE);
    let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
