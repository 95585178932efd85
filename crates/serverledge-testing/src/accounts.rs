//! Accounts in memory, with a handle: what mails would have said, where requests came from, the next refusal.

use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serverledge_core::{
    Account, AccountError, Accounts, AuthError, Caller, Credential, NewSession, NewToken, Profile,
    Role, Scopes, SessionInfo, SignedUp, SpaceId, TokenInfo, UserId, Via, whole_millis,
};

/// The lifetime of a session.
pub const LIFETIME: Duration = Duration::from_secs(3600);
/// The time at which everything happens, in Unix milliseconds.
pub const NOW_UNIX_MS: u64 = 1_772_323_200_000;
/// Shortest password.
const PASSWORD_CHARS_MIN: usize = 12;

/// Accounts that live as long as it does. Nothing expires and nothing is hashed.
#[derive(Debug, Default)]
pub struct FakeAccounts {
    state: Mutex<AccountsState>,
}

#[derive(Debug, Default)]
struct AccountsState {
    users: BTreeMap<String, User>,
    sessions: BTreeMap<String, Grant>,
    tokens: BTreeMap<String, Grant>,
    links: BTreeMap<String, MailedLink>,
    mails: Vec<(String, String)>,
    asked_from: Vec<IpAddr>,
    refusals: VecDeque<AccountError>,
    by_mail: bool,
    stale: bool,
    made: u64,
}

#[derive(Debug, Clone)]
struct User {
    id: UserId,
    email: String,
    password: String,
    role: Role,
    space: SpaceId,
}

/// A session or a token.
#[derive(Debug, Clone)]
struct Grant {
    id: String,
    user: String,
    name: String,
    scopes: Scopes,
    expires_unix_ms: Option<u64>,
}

#[derive(Debug, Clone)]
enum MailedLink {
    SignUp { email: String, password: String },
    Reset { user: String },
    Email { user: String, email: String },
    Invite,
}

impl FakeAccounts {
    /// None yet, and no mail.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Makes an account.
    pub fn add(&self, email: &str, password: &str, role: Role) -> UserId {
        self.state.lock().add(email, password, role)
    }

    /// Makes a token of the account with this address; returns the token itself.
    ///
    /// # Panics
    /// If there is no such account.
    pub fn add_token(&self, email: &str, scopes: Scopes) -> String {
        let mut state = self.state.lock();
        let user = state
            .by_email(email)
            .expect("the test made the account")
            .id
            .to_string();
        let wanted = NewToken {
            name: "test".to_owned(),
            scopes,
            lifetime: None,
        };
        state.token(user, wanted).1
    }

    /// From now on addresses are confirmed by mail.
    pub fn send_mails(&self) {
        self.state.lock().by_mail = true;
    }

    /// Whether credentials cannot be checked.
    pub fn be_stale(&self, stale: bool) {
        self.state.lock().stale = stale;
    }

    /// The next operation ends so.
    pub fn refuse_next(&self, error: AccountError) {
        self.state.lock().refusals.push_back(error);
    }

    /// The mails since the last call: to whom, and the secret of their link.
    pub fn mails(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.state.lock().mails)
    }

    /// The addresses that operations with rate limits came from since the last call.
    pub fn asked_from(&self) -> Vec<IpAddr> {
        std::mem::take(&mut self.state.lock().asked_from)
    }

    fn begin(
        &self,
        from: Option<IpAddr>,
    ) -> Result<parking_lot::MutexGuard<'_, AccountsState>, AccountError> {
        let mut state = self.state.lock();
        state.asked_from.extend(from);
        state.refusals.pop_front().map_or(Ok(()), Err)?;
        Ok(state)
    }
}

impl AccountsState {
    fn next(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    fn add(&mut self, email: &str, password: &str, role: Role) -> UserId {
        let id = UserId::new();
        let space = SpaceId::new();
        let user = User {
            id: id.clone(),
            email: email.to_owned(),
            password: password.to_owned(),
            role,
            space,
        };
        self.users.insert(id.to_string(), user);
        id
    }

    fn by_email(&self, email: &str) -> Option<&User> {
        self.users
            .values()
            .find(|user| user.email.eq_ignore_ascii_case(email))
    }

    fn of(&mut self, caller: &Caller) -> Result<&mut User, AccountError> {
        let id = caller.user().map(UserId::to_string).unwrap_or_default();
        self.users
            .get_mut(&id)
            .ok_or(AccountError::Unknown("this account"))
    }

    fn of_password(&mut self, caller: &Caller, password: &str) -> Result<&mut User, AccountError> {
        let user = self.of(caller)?;
        if user.password == password {
            Ok(user)
        } else {
            Err(AccountError::WrongCredentials)
        }
    }

    fn session(&mut self, user: &UserId) -> NewSession {
        let number = self.next();
        let secret = format!("session-secret-{number:032}");
        let id = format!("s{number}");
        let name = String::new();
        let grant = Grant {
            id,
            user: user.to_string(),
            name,
            scopes: Scopes::ALL,
            expires_unix_ms: None,
        };
        self.sessions.insert(secret.clone(), grant);
        NewSession {
            secret,
            lifetime: LIFETIME,
            user: user.clone(),
        }
    }

    fn token(&mut self, user: String, wanted: NewToken) -> (TokenInfo, String) {
        let number = self.next();
        let secret = format!("slt_{number:043}");

        let expires_unix_ms = wanted
            .lifetime
            .map(|lifetime| NOW_UNIX_MS.saturating_add(whole_millis(lifetime)));
        let grant = Grant {
            id: format!("t{number}"),
            user,
            name: wanted.name,
            scopes: wanted.scopes,
            expires_unix_ms,
        };
        let info = grant.info();
        self.tokens.insert(secret.clone(), grant);
        (info, secret)
    }

    fn mail(&mut self, to: &str, link: MailedLink) {
        let secret = format!("link-secret-{:032}", self.next());
        self.links.insert(secret.clone(), link);
        self.mails.push((to.to_owned(), secret));
    }

    fn end(&mut self, user: &str, but: Option<&str>) {
        self.sessions
            .retain(|_, grant| grant.user != user || but == Some(grant.id.as_str()));
    }
}

impl Grant {
    fn info(&self) -> TokenInfo {
        TokenInfo {
            id: self.id.clone(),
            name: self.name.clone(),
            scopes: self.scopes,
            created_unix_ms: NOW_UNIX_MS,
            expires_unix_ms: self.expires_unix_ms,
            used_unix_ms: None,
        }
    }
}

fn own_session(caller: &Caller) -> Option<&str> {
    match caller.account.as_ref().map(|account| &account.via) {
        Some(Via::Session(id)) => Some(id),
        _ => None,
    }
}

fn fits(password: &str) -> Result<(), AccountError> {
    let message = format!("a password has at least {PASSWORD_CHARS_MIN} characters");
    let long = password.chars().count() >= PASSWORD_CHARS_MIN;
    if long {
        Ok(())
    } else {
        Err(AccountError::Invalid {
            code: "password_too_short",
            message,
        })
    }
}

/// Removes what has this id and user; whether there was one.
fn take(grants: &mut BTreeMap<String, Grant>, user: &str, id: &str) -> bool {
    let before = grants.len();
    grants.retain(|_, grant| grant.user != user || grant.id != id);
    grants.len() < before
}

#[async_trait]
impl Accounts for FakeAccounts {
    fn authenticate(&self, credential: Credential<'_>) -> Result<Caller, AuthError> {
        let state = self.state.lock();
        if state.stale {
            return Err(AuthError::Stale);
        }
        let (grant, via): (_, fn(String) -> Via) = match credential {
            Credential::Session(secret) => (state.sessions.get(secret), Via::Session),
            Credential::Token(secret) => (state.tokens.get(secret), Via::Token),
        };
        let grant = grant.ok_or(AuthError::Invalid)?;
        let user = state.users.get(&grant.user).ok_or(AuthError::Invalid)?;
        let via = via(grant.id.clone());
        let account = Account {
            user: user.id.clone(),
            role: user.role,
            scopes: grant.scopes,
            via,
        };
        Ok(Caller {
            space: user.space.clone(),
            account: Some(Arc::new(account)),
        })
    }

    async fn sign_up(
        &self,
        email: &str,
        password: &str,
        invite: Option<&str>,
        from: IpAddr,
    ) -> Result<SignedUp, AccountError> {
        let mut state = self.begin(Some(from))?;
        fits(password)?;
        if invite
            .is_some_and(|invite| !matches!(state.links.remove(invite), Some(MailedLink::Invite)))
        {
            return Err(AccountError::Link);
        }
        if state.by_mail {
            state.mail(
                email,
                MailedLink::SignUp {
                    email: email.to_owned(),
                    password: password.to_owned(),
                },
            );
            return Ok(SignedUp::ConfirmationSent);
        }
        if state.by_email(email).is_some() {
            return Err(AccountError::Taken);
        }
        let user = state.add(email, password, Role::User);
        Ok(SignedUp::LoggedIn(state.session(&user)))
    }

    async fn confirm(&self, secret: &str, from: IpAddr) -> Result<(), AccountError> {
        let mut state = self.begin(Some(from))?;
        match state.links.remove(secret) {
            Some(MailedLink::SignUp { email, password }) => {
                state.add(&email, &password, Role::User);
                Ok(())
            }
            Some(MailedLink::Email { user, email }) => {
                state.users.get_mut(&user).ok_or(AccountError::Link)?.email = email;
                Ok(())
            }
            _ => Err(AccountError::Link),
        }
    }

    async fn log_in(
        &self,
        email: &str,
        password: &str,
        from: IpAddr,
    ) -> Result<NewSession, AccountError> {
        let mut state = self.begin(Some(from))?;
        let user = state
            .by_email(email)
            .filter(|user| user.password == password);
        let id = user.ok_or(AccountError::WrongCredentials)?.id.clone();
        Ok(state.session(&id))
    }

    async fn log_out(&self, caller: &Caller) -> Result<(), AccountError> {
        let mut state = self.begin(None)?;
        let id = own_session(caller).unwrap_or_default();
        state.sessions.retain(|_, grant| grant.id != id);
        Ok(())
    }

    async fn log_out_everywhere(&self, caller: &Caller) -> Result<(), AccountError> {
        let mut state = self.begin(None)?;
        let user = state.of(caller)?.id.to_string();
        state.end(&user, None);
        Ok(())
    }

    fn delivers_mail(&self) -> bool {
        true
    }

    async fn request_reset(&self, email: &str, from: IpAddr) -> Result<(), AccountError> {
        let mut state = self.begin(Some(from))?;
        if let Some(user) = state.by_email(email).map(|user| user.id.to_string()) {
            state.mail(email, MailedLink::Reset { user });
        }
        Ok(())
    }

    async fn reset(&self, secret: &str, password: &str, from: IpAddr) -> Result<(), AccountError> {
        let mut state = self.begin(Some(from))?;
        fits(password)?;
        let Some(MailedLink::Reset { user }) = state.links.remove(secret) else {
            return Err(AccountError::Link);
        };
        state.end(&user, None);
        state.tokens.retain(|_, grant| grant.user != user);
        password.clone_into(
            &mut state
                .users
                .get_mut(&user)
                .ok_or(AccountError::Link)?
                .password,
        );
        Ok(())
    }

    async fn profile(&self, caller: &Caller) -> Result<Profile, AccountError> {
        let mut state = self.begin(None)?;
        let User {
            id: user,
            email,
            role,
            space,
            ..
        } = state.of(caller)?.clone();
        Ok(Profile {
            user,
            email,
            role,
            space,
            created_unix_ms: NOW_UNIX_MS,
        })
    }

    async fn change_email(
        &self,
        caller: &Caller,
        password: &str,
        email: &str,
        from: IpAddr,
    ) -> Result<bool, AccountError> {
        let mut state = self.begin(Some(from))?;
        let user = state.of_password(caller, password)?.id.to_string();
        if state.by_mail {
            state.mail(
                email,
                MailedLink::Email {
                    user,
                    email: email.to_owned(),
                },
            );
            return Ok(true);
        }
        if state.by_email(email).is_some() {
            return Err(AccountError::Taken);
        }
        email.clone_into(&mut state.of(caller)?.email);
        Ok(false)
    }

    async fn change_password(
        &self,
        caller: &Caller,
        old: &str,
        new: &str,
        from: IpAddr,
    ) -> Result<(), AccountError> {
        let mut state = self.begin(Some(from))?;
        fits(new)?;
        let user = state.of_password(caller, old)?;
        new.clone_into(&mut user.password);
        let user = user.id.to_string();
        state.end(&user, own_session(caller));
        Ok(())
    }

    async fn delete(
        &self,
        caller: &Caller,
        password: &str,
        from: IpAddr,
    ) -> Result<(), AccountError> {
        let mut state = self.begin(Some(from))?;
        let user = state.of_password(caller, password)?.id.to_string();
        state.users.remove(&user);
        Ok(())
    }

    async fn tokens(&self, caller: &Caller) -> Result<Vec<TokenInfo>, AccountError> {
        let mut state = self.begin(None)?;
        let user = state.of(caller)?.id.to_string();
        Ok(state
            .tokens
            .values()
            .filter(|grant| grant.user == user)
            .map(Grant::info)
            .collect())
    }

    async fn create_token(
        &self,
        caller: &Caller,
        token: NewToken,
    ) -> Result<(TokenInfo, String), AccountError> {
        let mut state = self.begin(None)?;
        let user = state.of(caller)?.id.to_string();
        Ok(state.token(user, token))
    }

    async fn revoke_token(&self, caller: &Caller, id: &str) -> Result<(), AccountError> {
        let mut state = self.begin(None)?;
        let user = state.of(caller)?.id.to_string();
        take(&mut state.tokens, &user, id)
            .then_some(())
            .ok_or(AccountError::Unknown("this token"))
    }

    async fn sessions(&self, caller: &Caller) -> Result<Vec<SessionInfo>, AccountError> {
        let mut state = self.begin(None)?;
        let user = state.of(caller)?.id.to_string();
        let info = |grant: &Grant| SessionInfo {
            id: grant.id.clone(),
            created_unix_ms: NOW_UNIX_MS,
            used_unix_ms: NOW_UNIX_MS,
        };
        Ok(state
            .sessions
            .values()
            .filter(|grant| grant.user == user)
            .map(info)
            .collect())
    }

    async fn end_session(&self, caller: &Caller, id: &str) -> Result<(), AccountError> {
        let mut state = self.begin(None)?;
        let user = state.of(caller)?.id.to_string();
        take(&mut state.sessions, &user, id)
            .then_some(())
            .ok_or(AccountError::Unknown("this session"))
    }

    async fn invite(&self, caller: &Caller) -> Result<String, AccountError> {
        let mut state = self.begin(None)?;
        if state.of(caller)?.role != Role::Operator {
            return Err(AccountError::Forbidden("invitations are made by operators"));
        }
        let secret = format!("invite-secret-{:032}", state.next());
        state.links.insert(secret.clone(), MailedLink::Invite);
        Ok(secret)
    }
}
