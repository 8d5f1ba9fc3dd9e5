package caddymodule

import (
	"fmt"
	"strings"
	"testing"
)

// literal is in every mistake in the place of a secret; no error may quote it.
const literal = "whsec_SECRETsecret+/="

// A mistake is a Caddyfile of which one line, marked with "# here", is wrong.
// What it does not say is right.
type mistake struct {
	name string
	app  string // the content of the global option
	site string // the content of the site block
	says string // the error says this, and so what to change
}

// caddyfile is the whole file, and the number of the line that is wrong.
func (m mistake) caddyfile(t *testing.T) (text string, line int) {
	t.Helper()
	app, site := m.app, m.site
	if app == "" {
		app = "upstream ehr http://127.0.0.1:9000"
	}
	text = fmt.Sprintf("{\n\tscribegate {\n%s\n\t}\n}\n\nhttp://localhost:8080 {\n%s\n}\n", app, site)
	if m.app == noApp {
		text = fmt.Sprintf("http://localhost:8080 {\n%s\n}\n", site)
	}
	return text, wrongLine(t, text)
}

// wrongLine is the number of the line that is marked.
func wrongLine(t *testing.T, text string) int {
	t.Helper()
	before, _, ok := strings.Cut(text, "# here")
	if !ok {
		t.Fatal("no line is marked as wrong")
	}
	return 1 + strings.Count(before, "\n")
}

// noApp is a mistake's app where there is no global option at all.
const noApp = "none"

// logRow prints a row of the table of configurations, which is part of what
// `make tables` prints: a configuration, and what Scribegate says about it.
func logRow(t *testing.T, kind, configuration, says string) {
	t.Helper()
	for _, caddys := range []string{"parsing caddyfile tokens for 'scribegate': ", "provision scribegate: ", "provision http.handlers.scribegate: "} {
		if _, ours, ok := strings.Cut(says, caddys); ok {
			says = ours
		}
	}
	t.Logf("%-7s | %-60s | %s", kind, configuration, strings.ReplaceAll(says, "\n", " "))
}

// These put a wrong line into its block.
func inApp(line string) (app, site string) {
	return "upstream ehr http://127.0.0.1:9000\n" + line + " # here", ""
}

func inUpstream(line string) (app, site string) {
	return "upstream ehr http://127.0.0.1:9000 {\n" + line + " # here\n}", ""
}

func inQueue(line string) (app, site string) {
	return "queue sqlite {\n" + line + " # here\n}", ""
}

func inSoapnote(line string) (app, site string) {
	return "", "scribegate /soapnote soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\n" + line + " # here\n}"
}

func inSecret(line string) (app, site string) {
	return "", "scribegate /soapnote soapnoteapi {\n" + line + " # here\n}"
}

func inConsole(line string) (app, site string) {
	return "", "scribegate_console {\nread_only\n" + line + " # here\n}"
}

func inSoniox(line string) (app, site string) {
	return "", "scribegate /soniox soniox {\nmetadata a\n" + line + " # here\n}"
}

// test adapts the Caddyfile and judges the error.
func (m mistake) test(t *testing.T) {
	t.Helper()
	t.Run(m.name, func(t *testing.T) {
		text, line := m.caddyfile(t)
		_, err := adapt(text)
		if err == nil {
			t.Fatalf("no error in\n%s", text)
		}
		logRow(t, "error", m.name, err.Error())
		if place := fmt.Sprintf("Caddyfile:%d", line); !strings.Contains(err.Error()+" ", place+" ") && !strings.Contains(err.Error(), place+":") && !strings.Contains(err.Error(), place+",") {
			t.Errorf("error %q does not say %s", err, place)
		}
		if !strings.Contains(err.Error(), m.says) {
			t.Errorf("error %q does not say %q", err, m.says)
		}
		if strings.Contains(err.Error(), "{") && strings.Contains(err.Error(), "(nil)") {
			t.Errorf("error %q quotes a Go value", err)
		}
		if strings.Contains(strings.ToLower(err.Error()), "secretsecret") || strings.Contains(err.Error(), "Bearer abc") {
			t.Errorf("error %q quotes a secret", err)
		}
	})
}

func TestGlobalOptionMistakes(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"twice":            {"{\nscribegate {\nadmin_payloads\n}\nscribegate { # here\n}\n}\n", "put everything into one block"},
		"with an argument": {"{\nscribegate " + literal + " { # here\nadmin_payloads\n}\n}\n", "takes no argument"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := adapt(c.text)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range []string{fmt.Sprintf("Caddyfile:%d", wrongLine(t, c.text)), c.says} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), literal) {
				t.Errorf("error %q quotes a secret", err)
			}
		})
	}
}
