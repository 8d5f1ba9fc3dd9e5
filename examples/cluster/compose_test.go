package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A composition has the parts of a compose file that this one uses.
type composition struct {
	Name       string             `yaml:"name"`
	Scribegate map[string]any     `yaml:"x-scribegate"`
	Gateway    map[string]any     `yaml:"x-gateway"`
	Services   map[string]service `yaml:"services"`
	Volumes    map[string]any     `yaml:"volumes"`
	Secrets    map[string]struct {
		File string `yaml:"file"`
	} `yaml:"secrets"`
}

type service struct {
	Build *struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
		Target     string `yaml:"target"`
	} `yaml:"build"`
	Image       string            `yaml:"image"`
	Hostname    string            `yaml:"hostname"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Ports       []string          `yaml:"ports"`
	Volumes     []string          `yaml:"volumes"`
	Secrets     []string          `yaml:"secrets"`
	DependsOn   map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Healthcheck *struct {
		Test        []string `yaml:"test"`
		Interval    string   `yaml:"interval"`
		StartPeriod string   `yaml:"start_period"`
	} `yaml:"healthcheck"`
	ReadOnly        bool     `yaml:"read_only"`
	CapDrop         []string `yaml:"cap_drop"`
	SecurityOpt     []string `yaml:"security_opt"`
	MemLimit        string   `yaml:"mem_limit"`
	StopGracePeriod string   `yaml:"stop_grace_period"`
	Restart         string   `yaml:"restart"`
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The compose file is strict YAML, and each name, file and variable in it exists.
func TestCompose(t *testing.T) {
	t.Parallel()
	var c composition
	d := yaml.NewDecoder(bytes.NewReader([]byte(read(t, "compose.yaml"))))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	for name, s := range c.Services {
		if s.Image == "" {
			t.Errorf("%s has no image", name)
		}
		if s.Build != nil {
			if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, secret := range s.Secrets {
			if _, ok := c.Secrets[secret]; !ok {
				t.Errorf("%s: the secret %s is not defined", name, secret)
			}
		}
		for other := range s.DependsOn {
			if c.Services[other].Healthcheck == nil {
				t.Errorf("%s depends on %s, which has no health check", name, other)
			}
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if strings.HasPrefix(source, ".") {
				if _, err := os.Stat(source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			} else if _, ok := c.Volumes[source]; !ok {
				t.Errorf("%s: the volume %s is not defined", name, source)
			}
		}
	}
	for address := range strings.FieldsSeq(c.Services["front"].Environment["SCRIBEGATE_GATEWAYS"]) {
		name, port, _ := strings.Cut(address, ":")
		if s := c.Services[name]; s.Hostname != name || port != "8080" {
			t.Errorf("the front knows %s, which is %+v", address, s)
		}
		checkVariables(t, c.Services[name], "gateway.caddyfile")
		for _, file := range regexp.MustCompile(`\{\$SCRIBEGATE_SECRETS\}/([a-z]+)`).FindAllStringSubmatch(string(gatewayFile), -1) {
			if !slices.Contains(c.Services[name].Secrets, file[1]) {
				t.Errorf("%s lacks the secret %s", name, file[1])
			}
		}
	}
	checkVariables(t, c.Services["front"], "front.caddyfile")
	for name := range c.Secrets {
		if !strings.Contains(read(t, "README.md"), "secrets/"+name+"\n") {
			t.Errorf("the chapter does not create secrets/%s", name)
		}
	}
}

// checkVariables fails the test if a variable of a service is not in its configuration.
func checkVariables(t *testing.T, s service, config string) {
	t.Helper()
	for name := range s.Environment {
		if !strings.Contains(read(t, config), "{$"+name) {
			t.Errorf("%s does not use %s", config, name)
		}
	}
	if !slices.Contains(s.Command, "/etc/scribegate/"+config) {
		t.Errorf("the command %q does not use %s", s.Command, config)
	}
}
