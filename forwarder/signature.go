package forwarder

// A SigningKey is the key of a Standard Webhooks signing secret.
type SigningKey []byte
