package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/internal/secret"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder/seal"
	"github.com/scribegate/scribegate/verifier"
)

// usableSecretFlag resolves a flag's placeholders, as secretFlag does, and returns an error
// for a value that is certainly a mistake.
func usableSecretFlag(name, value string) (string, error) {
	v, err := secretFlag(name, value)
	if err != nil {
		return "", err
	}
	if err := verifier.CheckSecret(v); err != nil {
		return "", fmt.Errorf("--%s: %w", name, err)
	}
	return v, nil
}

// secretFlag resolves a flag's placeholders.
func secretFlag(name, value string) (string, error) {
	v, err := secret.Resolve(value)
	if err != nil {
		return "", fmt.Errorf("--%s: %w", name, err)
	}
	return v, nil
}

// keyFlags returns the encryption keys that a flag has as its values.
func keyFlags(name string, values []string) ([]seal.Key, error) {
	keys := make([]seal.Key, len(values))
	for i, v := range values {
		v, err := usableSecretFlag(name, v)
		if err != nil {
			return nil, err
		}
		if keys[i], err = seal.ParseKey(v); err != nil {
			return nil, fmt.Errorf("--%s: %w", name, err)
		}
	}
	return keys, nil
}

// headerFlag parses 'Name: value'. The function resolve replaces the placeholders in the
// value.
func headerFlag(flag string, resolve func(flag, value string) (string, error)) (name, value string, err error) {
	name, raw, ok := strings.Cut(flag, ":")
	name = strings.TrimSpace(name)
	if !ok || name == "" {
		return "", "", errors.New(`--header: write it as 'Name: value', as in 'Authorization: Bearer {env.SONIOX_WEBHOOK_SECRET}'`)
	}
	value, err = resolve("header", strings.TrimSpace(raw))
	return name, value, err
}

// maxFile is the largest size of a file that a flag names, in bytes: more than any gateway
// accepts.
const maxFile = 64 << 20

// readFile reads the file that a flag names, or standard input for "-".
func readFile(flag, name string, stdin io.Reader) ([]byte, error) {
	from := stdin
	if name != "-" || stdin == nil {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("reading --%s: %w", flag, err)
		}
		defer func() { _ = f.Close() }() // it was for reading only
		from = f
	}
	content, err := io.ReadAll(io.LimitReader(from, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading --%s: %w", flag, err)
	case len(content) > maxFile:
		return nil, fmt.Errorf("reading --%s: it is larger than %s, the most that a gateway accepts", flag, wording.Size(maxFile))
	}
	return content, nil
}

// given returns the value of a flag, or nil if the flag is not set.
func given(cmd *cobra.Command, flag string) *string {
	if !cmd.Flags().Changed(flag) {
		return nil
	}
	value, _ := cmd.Flags().GetString(flag) // it is defined
	return &value
}
