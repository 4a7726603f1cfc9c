// SPDX-License-Identifier: Apache-2.0

package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hallmark-dev/hallmark/attest"
)

// A predicate comes from a stranger, and what a schema asks of it is calculated
// exactly: a number of ten characters may have a million digits, and of each value
// that does not fit there is an error. So both are bounded before the library sees
// them.

const (
	// maxNumber bounds a number as it is written, bytes.
	maxNumber = 64
	// maxExponent bounds the power of ten in it: more than a double has.
	maxExponent = 400
	// maxValues bounds the values of a predicate that is held against a schema: half
	// a kilobyte of each is taken if none of them fits.
	maxValues = 50_000
)

var (
	// ErrNumber says that a predicate has a number that nobody calculates with.
	ErrNumber = errors.New("a number out of bounds")
	// ErrLibrary says that the library did not end as it should: what it cannot hold
	// against a schema does not fit.
	ErrLibrary = errors.New("it cannot be held against its schema")
)

// bounds are what a predicate is held against first.
type bounds struct {
	values int
	path   []string // of the value
}

func (b *bounds) check(value any) error {
	if b.values++; b.values > maxValues {
		return fmt.Errorf("%w: more than %d values, of a predicate with a schema", attest.ErrTooLarge, maxValues)
	}
	switch v := value.(type) {
	case json.Number:
		if !isBounded(string(v)) {
			return fmt.Errorf("%s: %w: %.80s, want at most %d characters and an exponent of at most %d", bounded("$"+pathOf(b.path)), ErrNumber, v, maxNumber, maxExponent)
		}
	case map[string]any:
		for name, member := range v {
			if err := b.within(name, member); err != nil {
				return err
			}
		}
	case []any:
		for i, element := range v {
			if err := b.within(strconv.Itoa(i), element); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bounds) within(name string, value any) error {
	b.path = append(b.path, name)
	err := b.check(value)
	b.path = b.path[:len(b.path)-1]
	return err
}

// isBounded tells whether anybody can calculate with a number.
func isBounded(number string) bool {
	_, exponent, has := strings.Cut(strings.ToLower(number), "e")
	if !has {
		return len(number) <= maxNumber
	}
	power, err := strconv.Atoi(exponent)
	return err == nil && len(number) <= maxNumber && -maxExponent <= power && power <= maxExponent
}

// validate makes a panic of the library an error: one predicate is no good, and
// the service is not to blame.
func validate(schema *jsonschema.Schema, document any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %.200v", ErrLibrary, p)
		}
	}()
	return schema.Validate(document)
}
