package gateway

import (
	"slices"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/certificate"
)

func TestConfigurations(t *testing.T) {
	t.Parallel()
	s := NewSecrets()
	g := &Gateway{dir: "/dir", Site: "127.0.0.1:1", Secure: "127.0.0.1:2", admin: "127.0.0.1:3"}
	up := Upstream{Name: "ehr", URL: "http://127.0.0.1:4/events"}
	tests := map[string]struct {
		configuration Configuration
		cert          *certificate.Certificate
		has, hasNot   []string
	}{
		"bare":       {Bare(), nil, []string{"respond ", "http://127.0.0.1:1 {", "admin 127.0.0.1:3", "output file /dir/caddy.log", "level INFO"}, []string{"scribegate", "https://"}},
		"with TLS":   {Bare(), &certificate.Certificate{CertFile: "c.pem", KeyFile: "k.pem"}, []string{"https://127.0.0.1:2 {\ntls c.pem k.pem\n"}, nil},
		"proxy":      {BareProxy("127.0.0.1:5"), nil, []string{"reverse_proxy 127.0.0.1:5"}, []string{"scribegate"}},
		"checkpoint": {Checkpoint(1), nil, []string{"scribegate /soapnote soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\n}\nrespond "}, []string{"deliver_to", "upstream"}},
		"secrets":    {Checkpoint(3), nil, []string{"secret {env.OTHER_0} {env.OTHER_1} {env.SOAPNOTE_SECRET}\n"}, nil},
		"durable":    {Durable(up, Upstream{Name: "lab", Lines: "route {\n}"}), nil, []string{"deliver_to ehr lab\n", "upstream ehr http://127.0.0.1:4/events {", "upstream lab  {\nroute {", "signing_secret"}, []string{"respond", "queue"}},
		"postgres":   {Durable(up).In("host=/run user=a"), nil, []string{"queue postgres \"host=/run user=a\" {\nencryption_key {env.QUEUE_KEY}\n}\n", "deliver_to ehr\n"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := tt.configuration.text(g, tt.cert)
			for _, want := range tt.has {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			}
			for _, not := range tt.hasNot {
				if strings.Contains(text, not) {
					t.Errorf("%q is in\n%s", not, text)
				}
			}
			if open, closed := strings.Count(text, "{\n"), strings.Count(text, "}\n")-strings.Count(text, ".SOAPNOTE_SECRET}\n")-strings.Count(text, "SIGNING_SECRET}\n")-strings.Count(text, "SONIOX_SECRET}\n")-strings.Count(text, "QUEUE_KEY}\n"); open != closed {
				t.Errorf("%d blocks are opened and %d closed in\n%s", open, closed, text)
			}
			for _, secret := range append([]string{s.Soapnote, s.Soniox, s.signing, s.queue}, s.others...) {
				if strings.Contains(text, secret) {
					t.Error("it holds a secret")
				}
			}
		})
	}
}

func TestSecretsAreDifferent(t *testing.T) {
	t.Parallel()
	env := NewSecrets().env()
	values := make([]string, 0, len(env))
	for _, pair := range env {
		_, value, _ := strings.Cut(pair, "=")
		values = append(values, value)
	}
	slices.Sort(values)
	if n := len(slices.Compact(values)); n != 4+ManySecrets-1 {
		t.Errorf("%d different secrets, want %d", n, 4+ManySecrets-1)
	}
}
