// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// Rekor names an entry in two ways. Its UUID is the lower-case hexadecimal leaf
// hash. Its entry id is the id of the tree it is in, 16 hexadecimal digits, and
// the UUID. Everything that is answered carries entry ids; either is taken.
const (
	treeIDDigits  = 16
	uuidDigits    = 64
	entryIDDigits = treeIDDigits + uuidDigits

	// idPattern is what Rekor's schema says of both.
	idPattern = `^([0-9a-fA-F]{64}|[0-9a-fA-F]{80})$`
)

// entryID is a parsed id. tree is 0 for a UUID, which means any tree.
type entryID struct {
	tree int64
	leaf tlog.Hash
}

// EntryID returns the entry id of a leaf in the tree of an id.
func EntryID(treeID int64, leaf tlog.Hash) string {
	return entryID{tree: treeID, leaf: leaf}.String()
}

// isEntryID says whether s has the form of an id, which the schema demands:
// what it refuses is not looked at further.
func isEntryID(s string) bool {
	if len(s) != uuidDigits && len(s) != entryIDDigits {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}

// parseEntryID parses what isEntryID accepts. Its errors are of ids that no
// tree can have.
func parseEntryID(s string) (entryID, error) {
	var id entryID
	if len(s) == entryIDDigits {
		tree, err := strconv.ParseInt(s[:treeIDDigits], 16, 64)
		if err != nil || tree < 1 {
			return entryID{}, fmt.Errorf("%s is not a valid TreeID", s[:treeIDDigits])
		}
		id.tree, s = tree, s[treeIDDigits:]
	}
	if n, err := hex.Decode(id.leaf[:], []byte(s)); err != nil || n != len(id.leaf) {
		return entryID{}, errors.New("UUID must be a 64-character hexadecimal string")
	}
	return id, nil
}

// String is the id as it is answered: lower case, with a tree unless it is 0.
func (id entryID) String() string {
	uuid := hex.EncodeToString(id.leaf[:])
	if id.tree == 0 {
		return uuid
	}
	return fmt.Sprintf("%0*x%s", treeIDDigits, id.tree, uuid)
}

// formatTreeID and parseTreeID are of the decimal form, which everything but
// an entry id has.
func formatTreeID(tree int64) string { return strconv.FormatInt(tree, 10) }

func parseTreeID(s string) (int64, error) {
	tree, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("invalid tree ID specified: %s", s)
	}
	return tree, nil
}
