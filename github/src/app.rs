//! GitHub App: its tokens, one an installation, that is one an owner.
//!
//! Each owner stands alone: its own slot, its own failures. A token is kept until shortly before it expires; a failure
//! is never kept, only shared with those who were already waiting for that very attempt (lessons 1, 3, 28).

mod key;
mod slots;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use controller::ports::{Clock, ErrorKind, PortError, PortResult, Secret};

pub use self::key::{AppKey, KeyError};
use self::slots::{Minted, Slots};
use crate::{
    contract::{self, Call},
    fields::{FieldError, Fields},
    settings::Settings,
    time,
    token::TokenSource,
    wire::{Answer, Wire, ask::Ask, refusal::unreadable},
};

/// A GitHub App: who it is, and how it proves that.
#[derive(Debug, Clone)]
pub struct App {
    /// Its id, or its client id.
    pub id: String,
    /// One of its private keys.
    pub key: AppKey,
}

/// Where an App's key is read again after GitHub refused what the present one signed.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The key, if it is another one now.
    async fn changed(&self) -> PortResult<Option<AppKey>>;
}

/// What an App may do where it is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Its number.
    pub id: u64,
    /// Its settings' page.
    pub page: Option<String>,
    /// What it may: `administration` → `write`.
    pub permissions: BTreeMap<String, String>,
}

/// HTTP's word for a credential that is not taken: nothing was done.
const UNAUTHORIZED: u16 = 401;

/// A token source for all owners that an App is installed on.
pub struct AppTokens {
    id: String,
    key: RwLock<Numbered>,
    keys: Option<Arc<dyn KeySource>>,
    wire: Wire,
    slots: Slots,
}

/// A key, and how many there were before it.
#[derive(Clone)]
struct Numbered {
    key: AppKey,
    n: u32,
}

impl fmt::Debug for AppTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppTokens").field("id", &self.id).field("wire", &self.wire).finish_non_exhaustive()
    }
}

impl AppTokens {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// `Invalid` if the settings cannot work.
    pub fn new(app: App, settings: &Settings, clock: Arc<dyn Clock>) -> PortResult<Self> {
        let wire = Wire::new(&settings.base_url, settings, clock)?;
        let App { id, key } = app;
        Ok(Self { id, key: RwLock::new(Numbered { key, n: 0 }), keys: None, wire, slots: Slots::default() })
    }

    /// The same, with a key that may be changed while this lives.
    #[must_use]
    pub fn with_keys(self, keys: Arc<dyn KeySource>) -> Self {
        Self { keys: Some(keys), ..self }
    }

    fn key(&self) -> Numbered {
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn jwt(&self, key: &AppKey) -> PortResult<Secret> {
        key.jwt(&self.id, self.wire.now_ms())
            .map_err(|error| PortError::new(ErrorKind::Invalid, format!("the App's private key cannot sign: {error}")))
    }

    async fn ask(&self, ask: &Ask<'_>) -> PortResult<Answer> {
        let Numbered { key, n } = self.key();
        let jwt = self.jwt(&key)?;
        let raw = self.wire.exchange(ask, self.wire.url(ask)?, Some(&jwt), None).await?;
        if raw.status == UNAUTHORIZED
            && let Some(jwt) = self.renew_jwt(n).await?
        {
            return self.wire.send(ask, Some(&jwt)).await;
        }
        self.wire.judge(ask, raw, Some(&jwt))
    }

    /// One that another key than the n-th signed, if there is one now. Who comes second finds it here.
    async fn renew_jwt(&self, n: u32) -> PortResult<Option<Secret>> {
        let Some(keys) = &self.keys else { return Ok(None) };
        if let Some(key) = keys.changed().await? {
            let mut held = self.key.write().unwrap_or_else(PoisonError::into_inner);
            *held = Numbered { key, n: held.n + 1 };
        }
        let now = self.key();
        if now.n == n { Ok(None) } else { self.jwt(&now.key).map(Some) }
    }

    /// A token of this owner's other than `refused`.
    async fn obtain(&self, owner: &str, refused: Option<&Secret>) -> PortResult<Minted> {
        let slot = self.slots.of(owner);
        let mut turn = slot.turn().await;
        if let Some(minted) = turn.good(self.wire.now_ms(), refused) {
            return Ok(minted);
        }
        // Who waited while somebody else tried gets what that came to.
        turn.shared_failure()?;
        let minted = self.mint(owner, turn.installation()).await;
        turn.ended(minted)
    }

    /// Makes a token. The installation is looked up once; if it is gone, as after an uninstall and a new install, again.
    async fn mint(&self, owner: &str, known: Option<Arc<Installation>>) -> PortResult<Minted> {
        if let Some(installation) = known {
            match self.mint_for(owner, installation).await {
                Err(error) if error.kind == ErrorKind::NotFound => {}
                result => return result,
            }
        }
        let installation = Arc::new(self.find(owner).await?);
        let minted = self.mint_for(owner, installation).await;
        // Must not read as "the job is gone" to whoever wanted the token.
        let denied = |error: PortError| PortError { kind: ErrorKind::Denied, ..error };
        minted.map_err(|error| if error.kind == ErrorKind::NotFound { denied(error) } else { error })
    }

    async fn mint_for(&self, owner: &str, installation: Arc<Installation>) -> PortResult<Minted> {
        let ask = Ask::of(&contract::INSTALLATION_TOKEN, owner).at("installation_id", installation.id);
        let answer = self.ask(&ask).await?;
        let (token, expires_ms) = read_token(&answer).map_err(|why| unreadable(ask.call, why))?;
        let now_ms = self.wire.now_ms();
        // It expires by GitHub's clock.
        let ahead_ms = answer.clock_ahead_ms(now_ms).unwrap_or(0);
        Ok(Minted { token, expires_ms: expires_ms.saturating_add_signed(ahead_ms), installation })
    }

    /// The App's installation on an owner, an organisation or a person.
    async fn find(&self, owner: &str) -> PortResult<Installation> {
        let places: [(&'static Call, &'static str); 2] =
            [(&contract::ORG_INSTALLATION, "org"), (&contract::USER_INSTALLATION, "username")];
        for (call, name) in places {
            match self.ask(&Ask::of(call, owner).at(name, owner)).await {
                Ok(answer) => return self.installed(owner, call, &answer),
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Err(self.not_installed(owner).await)
    }

    fn installed(&self, owner: &str, call: &Call, answer: &Answer) -> PortResult<Installation> {
        let read = Fields::root(&answer.body).and_then(|body| Ok((installation(&body)?, body)));
        let (installation, body) = read.map_err(|why| unreadable(call, why))?;
        if body.optional_text("suspended_at").ok().flatten().is_some() {
            let page = installation.page.as_deref().unwrap_or("its settings");
            let what =
                format!("the installation of GitHub App {} on {owner} is suspended: unsuspend it at {page}", self.id);
            return Err(PortError::new(ErrorKind::Denied, what));
        }
        Ok(installation)
    }

    /// Where to install it is worth a question.
    async fn not_installed(&self, owner: &str) -> PortError {
        let ask = Ask::of(&contract::READ_APP, owner);
        let page = self.ask(&ask).await.ok().and_then(|answer| answer.text("html_url"));
        let page = page.map_or_else(|| "the App's page, `Install App`".to_owned(), |page| install_page(&page));
        let what = format!("the GitHub App {} is not installed on {owner}: install it at {page}", self.id);
        PortError::new(ErrorKind::Denied, what)
    }
}

#[async_trait]
impl TokenSource for AppTokens {
    async fn token(&self, owner: &str) -> PortResult<Secret> {
        Ok(self.obtain(owner, None).await?.token)
    }

    async fn renew(&self, owner: &str, refused: &Secret) -> PortResult<Option<Secret>> {
        let token = self.obtain(owner, Some(refused)).await?.token;
        Ok(Some(token).filter(|token| token != refused))
    }

    async fn app(&self) -> PortResult<Option<Secret>> {
        self.jwt(&self.key().key).map(Some)
    }

    async fn renew_app(&self) -> PortResult<Option<Secret>> {
        self.renew_jwt(self.key().n).await
    }

    async fn installation(&self, owner: &str) -> PortResult<Option<Arc<Installation>>> {
        Ok(Some(self.obtain(owner, None).await?.installation))
    }
}

/// The page on which an App is installed, from its own page.
pub fn install_page(app_page: &str) -> String {
    format!("{}/installations/new", app_page.trim_end_matches('/'))
}

fn read_token(answer: &Answer) -> Result<(Secret, u64), FieldError> {
    let body = Fields::root(&answer.body)?;
    let expires = time::parse_ms(body.text("expires_at")?).ok_or_else(|| body.wrong("expires_at", "a time"))?;
    Ok((Secret::new(body.text("token")?), expires))
}

fn installation(body: &Fields<'_>) -> Result<Installation, FieldError> {
    let permissions = body.optional_object("permissions")?.map(|all| all.all_texts()).unwrap_or_default();
    Ok(Installation { id: body.number("id")?, page: body.optional_text("html_url")?.map(str::to_owned), permissions })
}
