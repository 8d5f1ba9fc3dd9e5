package caddymodule

import (
	"context"

	"github.com/scribegate/scribegate/caddymodule/internal/secret"
)

// A Secret is a list of secret values that a provider's module resolves in its
// Provision method. The first value that is set is the current one.
type Secret = secret.List

// SecretOptions describe a Secret.
type SecretOptions = secret.Options

// NewSecret resolves the entries of a list of secrets, which may have placeholders,
// and follows the files of the entries until ctx ends.
func NewSecret(ctx context.Context, o SecretOptions) (*Secret, error) { return secret.New(ctx, o) }
