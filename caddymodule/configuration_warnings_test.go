package caddymodule

import (
	"fmt"
	"path"
	"strings"
	"testing"
)

// A suspect is a configuration that is valid and that Scribegate warns about
// when it starts. What it does not say is right.
type suspect struct {
	name string
	app  string         // the content of the global option, without the queue
	site string         // the content of the site block
	says string         // the warning begins with this; "" where there is to be no warning at all
	has  map[string]any // fields of the warning
}

// What a suspect has that says nothing else.
const (
	usualApp  = "upstream ehr http://127.0.0.1:9"
	usualSite = "scribegate /soapnote soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\ndeliver_to ehr\n}"
)

func TestConfigurationWarnings(t *testing.T) {
	for _, c := range []suspect{
		{name: "nothing unusual"},
	} {
		c.test(t)
	}
}

// test runs the configuration and judges the warnings.
func (c suspect) test(t *testing.T) {
	t.Helper()
	t.Run(c.name, func(t *testing.T) {
		t.Setenv("SCRIBEGATE_KEY", testKey)
		s := newSite(t)
		app, site := c.app, c.site
		if app == "" {
			app = usualApp
		}
		if site == "" {
			site = usualSite
		}
		queue := fmt.Sprintf("queue bolt {\npath %s/queue.db\nencryption_key {env.SCRIBEGATE_KEY}\n}\n", s.dir)
		captured.reset()
		s.load(captureLog+"scribegate {\n"+queue+app+"\n}", site)

		if c.says == "" {
			if lines := warnings(t); len(lines) != 0 {
				t.Errorf("warnings without cause: %v", lines)
			}
			return
		}
		lines := captured.with(t, c.says)
		if len(lines) != 1 || lines[0]["level"] != "warn" {
			t.Fatalf("the lines that say %q are %v, want one warning; all warnings: %v", c.says, lines, warnings(t))
		}
		logRow(t, "warning", c.name, fmt.Sprint(lines[0]["msg"]))
		for field, want := range c.has {
			if fmt.Sprint(lines[0][field]) != fmt.Sprint(want) {
				t.Errorf("%s is %v, want %v", field, lines[0][field], want)
			}
		}
	})
}

// warnings returns Scribegate's own lines so far that are warnings or errors.
func warnings(t *testing.T) (lines []map[string]any) {
	t.Helper()
	for _, line := range captured.with(t, "") {
		logger, _ := line["logger"].(string)
		if strings.Contains(logger, appName) && (line["level"] == "warn" || line["level"] == "error") {
			lines = append(lines, line)
		}
	}
	return lines
}

// rowName is the name of a test's row in the table of configurations.
func rowName(t *testing.T) string {
	t.Helper()
	return strings.ReplaceAll(path.Base(t.Name()), "_", " ")
}
