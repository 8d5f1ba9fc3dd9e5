package command

import "strings"

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// alternatives are words of which one is meant.
func alternatives(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
