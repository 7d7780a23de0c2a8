//! The bucket that CloudFormation reads code and templates from: one for an account and Region, for all stages. Its
//! content is public knowledge, yet nobody but the account reads or writes it, and only over TLS.

use aws_sdk_s3::{
    Client,
    config::Builder,
    error::SdkError,
    primitives::ByteStream,
    types::{
        BucketLocationConstraint, CreateBucketConfiguration, Delete, ObjectIdentifier, PublicAccessBlockConfiguration,
    },
};
use controller::ports::PortResult;
use serde_json::json;

use crate::{
    cloud::Cloud,
    heard::{self, Heard, refused},
    reach,
    stack::APPLICATION,
};

/// The Region that S3 wants no name of.
const UNNAMED_REGION: &str = "us-east-1";

/// The bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    client: Client,
    name: String,
    region: String,
    /// Another place than AWS's own.
    endpoint: Option<String>,
}

impl Bucket {
    pub(super) fn new(cloud: &Cloud, account: &str, region: &str) -> Self {
        let endpoint = cloud.config().endpoint_url().map(str::to_owned);
        // Elsewhere no name of a host stands for a bucket.
        let config = Builder::from(cloud.config()).force_path_style(endpoint.is_some()).build();
        let name = format!("{APPLICATION}-{account}-{region}");
        Self { client: Client::from_conf(config), name, region: region.to_owned(), endpoint }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where CloudFormation finds what lies there.
    pub(super) fn url(&self, key: &str) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("{}/{}/{key}", endpoint.trim_end_matches('/'), self.name),
            None => format!("https://{}.s3.{}.amazonaws.com/{key}", self.name, self.region),
        }
    }

    /// Makes it if it is not there; what guards it is said again each time.
    pub(super) async fn make(&self) -> PortResult<()> {
        let place = CreateBucketConfiguration::builder()
            .location_constraint(BucketLocationConstraint::from(self.region.as_str()));
        let place = (self.region != UNNAMED_REGION).then(|| place.build());
        let made = self.client.create_bucket().bucket(&self.name).set_create_bucket_configuration(place).send().await;
        if let Err(error) = made {
            let heard = heard::hear(&error);
            if !matches!(&heard, Heard::Refused { code, .. } if code == "BucketAlreadyOwnedByYou") {
                return Err(refused(&format!("make the bucket {}", self.name), "s3:CreateBucket", &heard));
            }
        }
        self.close().await?;
        self.want_tls().await
    }

    async fn close(&self) -> PortResult<()> {
        let block = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .ignore_public_acls(true)
            .block_public_policy(true)
            .restrict_public_buckets(true)
            .build();
        let put = self.client.put_public_access_block().bucket(&self.name).public_access_block_configuration(block);
        let doing = format!("close the bucket {}", self.name);
        put.send()
            .await
            .map(drop)
            .map_err(|error| refused(&doing, "s3:PutBucketPublicAccessBlock", &heard::hear(&error)))
    }

    async fn want_tls(&self) -> PortResult<()> {
        let all = format!("arn:aws:s3:::{}", self.name);
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [all, format!("{all}/*")],
                "Condition": { "Bool": { "aws:SecureTransport": "false" } },
            }],
        });
        let put = self.client.put_bucket_policy().bucket(&self.name).policy(policy.to_string());
        let doing = format!("guard the bucket {}", self.name);
        put.send().await.map(drop).map_err(|error| refused(&doing, "s3:PutBucketPolicy", &heard::hear(&error)))
    }

    /// Puts something there, unless it is there: what has a name has its content.
    pub(super) async fn put(&self, key: &str, bytes: &[u8]) -> PortResult<()> {
        if self.client.head_object().bucket(&self.name).key(key).send().await.is_ok() {
            return Ok(());
        }
        let body = ByteStream::from(bytes.to_vec());
        let patient = Builder::new().timeout_config(reach::upload_timeouts());
        let put = self.client.put_object().bucket(&self.name).key(key).body(body);
        let put = put.customize().config_override(patient).send().await;
        put.map(drop).map_err(|error| refused(&format!("upload {key}"), "s3:PutObject", &heard::hear(&error)))
    }

    /// Empties and removes it; nothing to do where there is none.
    pub(super) async fn destroy(&self) -> PortResult<()> {
        loop {
            let keys = match self.client.list_objects_v2().bucket(&self.name).send().await {
                Ok(page) => page.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect(),
                Err(error) if is_missing(&error) => return Ok(()),
                Err(error) => return Err(refused("list the bucket", "s3:ListBucket", &heard::hear(&error))),
            };
            let keys: Vec<String> = keys;
            if keys.is_empty() {
                break;
            }
            self.remove(keys).await?;
        }
        let removed = self.client.delete_bucket().bucket(&self.name).send().await;
        removed.map(drop).map_err(|error| {
            refused(&format!("remove the bucket {}", self.name), "s3:DeleteBucket", &heard::hear(&error))
        })
    }

    async fn remove(&self, keys: Vec<String>) -> PortResult<()> {
        let objects = keys.into_iter().filter_map(|key| ObjectIdentifier::builder().key(key).build().ok());
        let Ok(delete) = Delete::builder().set_objects(Some(objects.collect())).quiet(true).build() else {
            return Ok(());
        };
        let removed = self.client.delete_objects().bucket(&self.name).delete(delete).send().await;
        removed.map(drop).map_err(|error| refused("empty the bucket", "s3:DeleteObject", &heard::hear(&error)))
    }
}

fn is_missing<E>(error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>) -> bool
where
    E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + 'static,
{
    matches!(heard::hear(error), Heard::Refused { code, .. } if code == "NoSuchBucket")
}
