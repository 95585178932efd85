//! The platform as the rest of the node sees it: core's trait, each method in the file that is named after what it does.

use std::net::IpAddr;

use async_trait::async_trait;
use serverledge_core::{
    AccountError, Accounts, AuthError, Caller, Credential, NewSession, NewToken, Profile,
    SessionInfo, SignedUp, TokenInfo,
};

use crate::log_in::Password;
use crate::platform::Platform;

#[async_trait]
impl Accounts for Platform {
    fn authenticate(&self, credential: Credential<'_>) -> Result<Caller, AuthError> {
        self.recognise(credential)
    }

    async fn sign_up(
        &self,
        email: &str,
        password: &str,
        invite: Option<&str>,
        from: IpAddr,
    ) -> Result<SignedUp, AccountError> {
        self.begin_sign_up(email, password, invite, from).await
    }

    async fn confirm(&self, secret: &str, from: IpAddr) -> Result<(), AccountError> {
        self.follow_link(secret, from).await
    }

    async fn log_in(
        &self,
        email: &str,
        password: &str,
        from: IpAddr,
    ) -> Result<NewSession, AccountError> {
        self.begin_login(
            email,
            Password {
                text: password,
                from,
            },
        )
        .await
    }

    async fn log_out(&self, caller: &Caller) -> Result<(), AccountError> {
        self.end_own_session(caller).await
    }

    async fn log_out_everywhere(&self, caller: &Caller) -> Result<(), AccountError> {
        self.end_all_sessions(caller).await
    }

    async fn request_reset(&self, email: &str, from: IpAddr) -> Result<(), AccountError> {
        self.begin_reset(email, from).await
    }

    async fn reset(&self, secret: &str, password: &str, from: IpAddr) -> Result<(), AccountError> {
        self.finish_reset(secret, password, from).await
    }

    async fn profile(&self, caller: &Caller) -> Result<Profile, AccountError> {
        self.own_profile(caller).await
    }

    async fn change_email(
        &self,
        caller: &Caller,
        password: &str,
        email: &str,
        from: IpAddr,
    ) -> Result<bool, AccountError> {
        self.begin_email_change(
            caller,
            Password {
                text: password,
                from,
            },
            email,
        )
        .await
    }

    async fn change_password(
        &self,
        caller: &Caller,
        old: &str,
        new: &str,
        from: IpAddr,
    ) -> Result<(), AccountError> {
        self.set_password(caller, old, new, from).await
    }

    async fn delete(
        &self,
        caller: &Caller,
        password: &str,
        from: IpAddr,
    ) -> Result<(), AccountError> {
        self.mark_deleted(
            caller,
            Password {
                text: password,
                from,
            },
        )
        .await
    }

    async fn tokens(&self, caller: &Caller) -> Result<Vec<TokenInfo>, AccountError> {
        self.list_tokens(caller).await
    }

    async fn create_token(
        &self,
        caller: &Caller,
        token: NewToken,
    ) -> Result<(TokenInfo, String), AccountError> {
        self.make_token(caller, token).await
    }

    async fn revoke_token(&self, caller: &Caller, id: &str) -> Result<(), AccountError> {
        self.delete_token(caller, id).await
    }

    async fn sessions(&self, caller: &Caller) -> Result<Vec<SessionInfo>, AccountError> {
        self.list_sessions(caller).await
    }

    async fn end_session(&self, caller: &Caller, id: &str) -> Result<(), AccountError> {
        self.end_listed_session(caller, id).await
    }

    async fn invite(&self, caller: &Caller) -> Result<String, AccountError> {
        self.make_invitation(caller).await
    }
}
