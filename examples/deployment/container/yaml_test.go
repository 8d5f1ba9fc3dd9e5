//go:build examples

package container_test

import (
	"os"
	"testing"

	"go.yaml.in/yaml/v3"
)

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	must(t, err)
	return string(content)
}

func readYAML(t *testing.T, file string, value any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, file)), value); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
