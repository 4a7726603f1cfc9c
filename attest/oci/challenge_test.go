// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"maps"
	"strings"
	"testing"
)

func TestPickChallenge(t *testing.T) {
	for value, want := range map[string]map[string]string{
		`Bearer realm="https://a.example/t?x=1,2",service="s",scope="repository:a/b:pull,push"`: {"realm": "https://a.example/t?x=1,2", "service": "s", "scope": "repository:a/b:pull,push"},
		`bearer Realm = "x"`:                 {},
		`BEARER REALM="a\"b\\c" , service=s`: {"realm": `a"b\c`, "service": "s"},
		`Basic`:                              {},
		`Basic realm="x"`:                    {"realm": "x"},
		`Bearer realm="unclosed`:             {},
		`Bearer realm="x\`:                   {},
		`Bearer ,, realm=x`:                  {"realm": "x"},
	} {
		ch, ok := pickChallenge([]string{"Negotiate", value})
		if !ok || !maps.Equal(ch.params, want) || ch.scheme != strings.ToLower(value[:len(ch.scheme)]) {
			t.Errorf("%s: %+v, %v", value, ch, ok)
		}
	}
	for _, value := range []string{"", "Digest realm=x", "Bearerrealm=x"} {
		if ch, ok := pickChallenge([]string{value}); ok {
			t.Errorf("%q: %+v", value, ch)
		}
	}
}

// FuzzChallenge: reading ends, and quoting a value gives it back.
func FuzzChallenge(f *testing.F) {
	f.Add("https://a.example/t", "a,b")
	f.Add(`a"b\`, "")
	f.Fuzz(func(t *testing.T, realm, junk string) {
		pickChallenge([]string{"Bearer " + junk})
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(realm)
		ch, ok := pickChallenge([]string{`Bearer realm="` + quoted + `",` + junk})
		got, again := ch.params["realm"], strings.Contains(strings.ToLower(junk), "realm")
		if !ok || (got != realm && !again) {
			t.Fatalf("realm %q is read as %q", realm, got)
		}
	})
}
