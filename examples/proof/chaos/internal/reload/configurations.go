package reload

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"strings"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
)

// configurations are the configurations that a gateway must load or reject. They are for a rig with the
// backends ehr and lab.
type configurations struct {
	rig      *gateway.Rig
	former   load.Secrets // old secrets, which are still valid
	ehr, lab string       // the host and port of each
	keys     [2]string
	rejected []rejectedConfig
	intruder *ledger.Backend // the upstream of the rejected configurations only
	busyPort net.Listener    // on a port that a rejected configuration needs
}

// A configuration is the variable part of a Caddyfile.
type configuration struct {
	queue   string // more lines of the queue's block
	keys    string
	app     string // lines of the app's block
	ehr     string // the upstream ehr: its URL and its block
	lab     string // the same; "" for no upstream lab
	deliver string // upstreams of the handlers, in addition to held
	secrets string // of SOAPNoteAPI
	signing string
	logs    string // the level
}

// A rejectedConfig is a configuration that the gateway must reject.
type rejectedConfig struct {
	what      string
	caddyfile string
}

// newConfigurations returns the configurations for a rig. The caller must close them.
func newConfigurations(ctx context.Context, r *gateway.Rig, ehr, lab string) (*configurations, error) {
	c := &configurations{rig: r, former: load.NewSecrets(), ehr: ehr, lab: lab}
	c.former.Soniox = r.Secrets.Soniox
	for i := range c.keys {
		c.keys[i] = encryptionKey()
	}
	others := ledger.New()
	var err error
	if c.intruder, err = others.Add(ctx, "intruder"); err != nil {
		return c, err
	}
	if c.busyPort, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return c, fmt.Errorf("listening on a port: %w", err)
	}
	c.reject()
	return c, nil
}

// usual returns the configuration that the others are derived from.
func (c *configurations) usual() configuration {
	return configuration{
		ehr: "http://" + c.ehr + "/events {\n" + gateway.UsualRetry + "\n}", lab: "http://" + c.lab + "/events {\n" + gateway.UsualRetry + "\n}",
		deliver: "ehr lab", secrets: "{env.SOAPNOTE_SECRET} " + c.former.SOAPNote,
		signing: "{env.SIGNING_SECRET}", keys: c.keys[0] + " " + c.keys[1], logs: "ERROR",
	}
}

// withoutLab returns a configuration without the upstream lab.
func (c *configurations) withoutLab() configuration {
	v := c.usual()
	v.lab, v.deliver = "", "ehr"
	return v
}

// good returns a good configuration of the kind n modulo goodKinds.
func (c *configurations) good(n int) string {
	v := c.usual()
	switch n % goodKinds {
	case 1: // the lab is removed; its waiting events are kept
		v = c.withoutLab()
	case 2: // the secrets are in another order, with new ones
		v.secrets = load.NewSecrets().SOAPNote + " " + c.former.SOAPNote + " {env.SOAPNOTE_SECRET}"
		v.keys = c.keys[1] + " " + c.keys[0]
		v.signing = load.NewSecrets().Signing + " {env.SIGNING_SECRET}"
	case 3: // the upstreams have another path
		v.ehr, v.lab = strings.Replace(v.ehr, "/events", "/moved", 1), strings.Replace(v.lab, "/events", "/moved", 1)
	case 4: // the settings are different
		v.queue = "max_size 1GiB"
		v.app = "dedupe_window 48h\nhistory_retention 24h\ndead_retention 30d\nkeep_delivered 1s"
		v.ehr = "http://" + c.ehr + "/events {\ntimeout 5s\nconcurrency 3\nformat binary\nrate_limit 500\n" + gateway.UsualRetry + "\n}"
	case 5: // an upstream is a route, which keeps its connections only for a second
		v.ehr = "{\n" + gateway.UsualRetry + "\nroute {\nreverse_proxy " + c.ehr + " {\ntransport http {\nkeepalive 1s\n}\n}\n}\n}"
	}
	return c.caddyfile(v)
}

// held is the name of an upstream that never answers, and receives only test events.
const held = "held"

// goodKinds is the number of kinds of good configurations.
const goodKinds = 6

// reject makes the configurations that the gateway must reject. All of them would deliver to the
// intruder.
func (c *configurations) reject() {
	usual := c.usual()
	usual.ehr, usual.lab = c.intruder.URL(), c.intruder.URL()
	add := func(what string, change func(v *configuration)) {
		v := usual
		change(&v)
		c.rejected = append(c.rejected, rejectedConfig{what, c.caddyfile(v)})
	}
	add("with an upstream of an unknown kind", func(v *configuration) { v.lab = "{\npigeon loft 7\n}" })
	add("without the queue's key", func(v *configuration) { v.keys = encryptionKey() })
	add("that delivers to an unknown upstream", func(v *configuration) { v.deliver = "nobody" })
	add("with secrets that are unset", func(v *configuration) { v.secrets = "{env.SCRIBEGATE_CHAOS_UNSET}" })
	add("whose upstream has an unsupported URL", func(v *configuration) { v.ehr = "ftp://" + c.ehr })
	astray := usual
	astray.lab, astray.deliver, astray.app = "", "stray", "upstream stray "+c.intruder.URL()
	whole := c.caddyfile(usual)
	// Caddy starts its servers one after the other, so the first one serves for a moment.
	beside := "\nhttp://" + c.busyPort.Addr().String() + " {\n\trespond 200\n}\n"
	c.rejected = append(c.rejected,
		rejectedConfig{"whose queue cannot be opened", strings.Replace(whole, c.rig.QueueFile(), "/proc/self/nowhere/queue.db", 1)},
		rejectedConfig{"that is not a Caddyfile", whole + "\n}\n"},
		rejectedConfig{"with a port that is in use", whole + beside},
		rejectedConfig{"with other upstreams and a port that is in use", c.caddyfile(astray) + beside},
	)
}

// encryptionKey returns a random encryption key.
func encryptionKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return base64.StdEncoding.EncodeToString(key)
}

// caddyfile returns a configuration as a Caddyfile.
func (c *configurations) caddyfile(v configuration) string {
	upstreams := "upstream ehr " + v.ehr + "\n"
	if v.lab != "" {
		upstreams += "upstream lab " + v.lab + "\n"
	}
	// One event for held always waits, so that the key that encrypted it is always needed.
	upstreams += "upstream " + held + " http://" + c.busyPort.Addr().String() + " {\nevents test\ntimeout 1s\n}\n"
	return fmt.Sprintf(`{
	admin %s
	storage file_system %s
	log {
		level %s
	}
	scribegate {
		queue sqlite {
			path %s
			encryption_key %s
			%s
		}
		signing_secret %s
		%s
		%s
	}
}

http://127.0.0.1:%s {
	scribegate /soapnote soapnoteapi {
		secret %s
		deliver_to %s
	}
	scribegate /soniox soniox {
		header Authorization {env.SONIOX_SECRET}
		deliver_to %[12]s
	}
}
`, c.rig.Admin, c.rig.Dir, v.logs, c.rig.QueueFile(), v.keys, v.queue, v.signing, v.app, upstreams, c.rig.Port, v.secrets, v.deliver+" "+held)
}

func (c *configurations) close() {
	if c.intruder != nil {
		c.intruder.Stop()
	}
	if c.busyPort != nil {
		_ = c.busyPort.Close() // it had no connections
	}
}
