// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// The hash of a key is in databases: it must not change. The value is
// { head -c 32 /dev/zero; printf issuer:x; } | sha256sum | head -c 16
func TestIndexKey(t *testing.T) {
	var secret [32]byte
	if got := fmt.Sprintf("%016x", uint64(store.IndexKey(secret, "issuer:x"))); got != "bf38fee6c78cb83e" {
		t.Errorf("%s", got)
	}
	secret[31] = 1
	if store.IndexKey(secret, "issuer:x") == store.IndexKey([32]byte{}, "issuer:x") {
		t.Error("the secret changes nothing")
	}
}

func TestIndexKeys(t *testing.T) {
	keys, err := store.IndexKeys([32]byte{}, []string{"c", "a", "b", "a"}, 4)
	if err != nil || len(keys) != 3 || !slices.IsSorted(keys) {
		t.Errorf("%v, %v", keys, err)
	}
	for name, bad := range map[string][]string{
		"empty": {"a", ""}, "long": {strings.Repeat("x", tlog.MaxKey+1)}, "many": {"a", "b", "c", "d", "e"},
	} {
		if _, err := store.IndexKeys([32]byte{}, bad, 4); !errors.Is(err, tlog.ErrBadKeys) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := store.IndexKeys([32]byte{}, []string{strings.Repeat("x", tlog.MaxKey)}, 1); err != nil {
		t.Errorf("the longest key: %v", err)
	}
}

func TestQueryKeys(t *testing.T) {
	if keys, err := store.QueryKeys([32]byte{}, tlog.Query{Keys: []string{"a"}, Limit: tlog.MaxPage}); err != nil || len(keys) != 1 {
		t.Errorf("%v, %v", keys, err)
	}
	for name, q := range map[string]tlog.Query{
		"no keys": {Limit: 1}, "no limit": {Keys: []string{"a"}}, "page too long": {Keys: []string{"a"}, Limit: tlog.MaxPage + 1},
		"many keys": {Keys: strings.Split(strings.Repeat("a,", tlog.MaxQueryKeys)+"b", ","), Limit: 1},
	} {
		if _, err := store.QueryKeys([32]byte{}, q); err == nil {
			t.Errorf("%s: allowed", name)
		}
	}
}
