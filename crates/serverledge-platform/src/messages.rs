//! The texts of mails. Links carry their secret behind `#`, which browsers neither send to servers nor tell the next
//! page; the base comes from the configuration, never from a request.

use crate::mail::Mail;

/// Makes the links. The console answers these paths.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Links<'a> {
    pub(crate) base: &'a str,
}

impl Links<'_> {
    pub(crate) fn reset(self, secret: &str) -> String {
        self.link("reset", secret)
    }

    fn confirm(self, secret: &str) -> String {
        self.link("confirm", secret)
    }

    fn link(self, page: &str, secret: &str) -> String {
        format!(
            "{}/account/{page}#{secret}",
            self.base.trim_end_matches('/')
        )
    }
}

pub(crate) fn reset(links: Links<'_>, to: &str, secret: &str) -> Mail {
    let text = format!(
        "Somebody, probably you, asked for a new password for this address at\n{}\n\nChoose one here within ten minutes:\n\n{}\n\n\
         If it was not you, do nothing: the password stays as it is.\n",
        links.base,
        links.reset(secret)
    );
    Mail {
        to: to.to_owned(),
        subject: "Choose a new password",
        text,
    }
}

pub(crate) fn confirm(links: Links<'_>, to: &str, secret: &str) -> Mail {
    let text = format!(
        "Somebody, probably you, gave this address at\n{}\n\nConfirm that it is yours within a day:\n\n{}\n\n\
         If it was not you, do nothing.\n",
        links.base,
        links.confirm(secret)
    );
    Mail {
        to: to.to_owned(),
        subject: "Confirm your address",
        text,
    }
}

/// For those who have an account already, and for whom somebody asked for another.
pub(crate) fn taken(links: Links<'_>, to: &str) -> Mail {
    let text = format!(
        "Somebody, probably you, wanted to use this address for an account at\n{}\n\nIt has an account already. Log in there, or ask for a new \
         password.\n\nIf it was not you, do nothing.\n",
        links.base
    );
    Mail {
        to: to.to_owned(),
        subject: "You have an account already",
        text,
    }
}

pub(crate) fn password_changed(links: Links<'_>, to: &str) -> Mail {
    let text = format!(
        "The password of your account at\n{}\nwas changed just now, and other sessions have ended.\n\nIf it was not you, ask for a new \
         password there at once.\n",
        links.base
    );
    Mail {
        to: to.to_owned(),
        subject: "Your password was changed",
        text,
    }
}

/// To the old address.
pub(crate) fn email_changed(links: Links<'_>, to: &str) -> Mail {
    let text = format!(
        "Your account at\n{}\nhas another e-mail address now; this one is no longer used.\n\nIf it was not you, tell whoever runs that \
         server.\n",
        links.base
    );
    Mail {
        to: to.to_owned(),
        subject: "Your address was changed",
        text,
    }
}
