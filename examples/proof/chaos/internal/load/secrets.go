package load

import (
	"crypto/rand"
	"encoding/base64"
)

// Secrets are the secrets of a rig.
type Secrets struct {
	SOAPNote string
	Soniox   string // the header's whole value
	Signing  string
}

// NewSecrets returns random secrets.
func NewSecrets() Secrets {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return Secrets{
		SOAPNote: "whsec_" + rand.Text(), Soniox: "Bearer " + rand.Text(),
		Signing: "whsec_" + base64.StdEncoding.EncodeToString(key),
	}
}

// Env returns the secrets as environment variables.
func (s Secrets) Env() []string {
	return []string{"SOAPNOTE_SECRET=" + s.SOAPNote, "SONIOX_SECRET=" + s.Soniox, "SIGNING_SECRET=" + s.Signing}
}
