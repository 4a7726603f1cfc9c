// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// TestReadAnswer: an answer of just the limit is read, and of one that is longer nobody takes the beginning for all of it.
func TestReadAnswer(t *testing.T) {
	if got, err := readAnswer(strings.NewReader("12345"), 5); err != nil || string(got) != "12345" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := readAnswer(strings.NewReader("123456"), 5); err == nil || !strings.Contains(err.Error(), "more than 5 bytes") {
		t.Errorf("a longer one: %v", err)
	}
}
