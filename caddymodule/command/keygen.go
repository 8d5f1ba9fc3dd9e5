package command

import (
	"crypto/rand"
	"encoding/base64"

	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
)

// signingKeySize is the length in bytes of a new signing key; Standard Webhooks
// asks for 24 to 64.
const signingKeySize = 32

func keygenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keygen",
		Short: "Prints a new encryption key and a new signing secret",
		Long: `
Prints a new key for encryption_key and a new secret for signing_secret. Store both
where the gateway's configuration reads them, in the environment or in files, and
nowhere else.`,
		Args: noArguments,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			keys := struct {
				EncryptionKey string `json:"encryption_key"`
				SigningSecret string `json:"signing_secret"`
			}{randomBase64(32), "whsec_" + randomBase64(signingKeySize)}
			if wantsJSON(cmd) {
				return printJSON(cmd, keys)
			}
			t := terminal.NewTable(cmd.OutOrStdout())
			t.Row(terminal.Text("encryption_key"), terminal.Text(keys.EncryptionKey))
			t.Row(terminal.Text("signing_secret"), terminal.Text(keys.SigningSecret))
			return t.Flush()
		}),
	}
}

func randomBase64(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return base64.StdEncoding.EncodeToString(b)
}
