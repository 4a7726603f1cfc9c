// SPDX-License-Identifier: Apache-2.0

package vers

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	ecosystem "deps.dev/util/semver"
	apk "github.com/knqyf263/go-apk-version"
	deb "github.com/knqyf263/go-deb-version"
	rpm "github.com/knqyf263/go-rpm-version"
	"golang.org/x/mod/semver"
)

// maxVersion bounds a version, bytes.
const maxVersion = 128

// maxDigits bounds the digits of one number of a version: what the libraries hold in 64 bits, and beyond which they stop to tell two apart.
const maxDigits = 18

// The schemes that only have "*".
const (
	schemeAll  = "all"
	schemeNone = "none"
)

// scheme is the order of the versions of one ecosystem.
type scheme struct {
	// read reads a version; ok is false if it is none of the scheme's. Nil: the scheme has no versions.
	read func(version string) (key any, ok bool)
	// compare orders two that were read. It is not known which is the later one if they leave open what makes the difference.
	compare func(a, b any) (order int, known bool)
	// types are the purl types whose packages have such versions, besides the one that is called like the scheme.
	types []string
}

// ordered makes a scheme of which all versions can be compared.
func ordered[V any](read func(string) (V, bool), compare func(a, b V) int, types ...string) scheme {
	return partly(read, func(a, b V) (int, bool) { return compare(a, b), true }, types...)
}

func partly[V any](read func(string) (V, bool), compare func(a, b V) (int, bool), types ...string) scheme {
	return scheme{
		read: func(version string) (any, bool) {
			if !plain(version) {
				return nil, false
			}
			return read(version)
		},
		compare: func(a, b any) (int, bool) {
			x, isV := a.(V)
			y, areV := b.(V)
			if !isV || !areV { // never: keys come from read
				return 0, false
			}
			return compare(x, y)
		},
		types: types,
	}
}

// unordered are the purl types of what has no ecosystem, whose authors number versions as they like: a range says itself how.
var unordered = []string{"generic", "github", "gitlab", "bitbucket"}

// schemes are all whose order is known, by name. An ecosystem's own scheme is called like its purl type.
var schemes = map[string]scheme{
	schemeAll: {}, schemeNone: {},
	"semver": ordered(readSemver, semver.Compare, append([]string{"npm", "golang", "cargo", "hex", "swift"}, unordered...)...),
	"npm":    ordered(readSemver, semver.Compare), "golang": ordered(readSemver, semver.Compare), "cargo": ordered(readSemver, semver.Compare),
	"hex":  ordered(readSemver, semver.Compare),
	"pypi": inEcosystem(ecosystem.PyPI), "maven": inEcosystem(ecosystem.Maven), "gem": inEcosystem(ecosystem.RubyGems), "nuget": inEcosystem(ecosystem.NuGet),
	"composer": ordered(readNumbers, slices.Compare[[]int64]), // its words for what is not yet stable have an order that no library here knows
	"deb":      ordered(readDeb, func(a, b deb.Version) int { return a.Compare(b) }),
	"rpm":      partly(readRPM, compareRPM),
	"apk":      ordered(readAPK, apk.Version.Compare), "alpine": ordered(readAPK, apk.Version.Compare, "apk"),
	"intdot": ordered(readNumbers, slices.Compare[[]int64], unordered...),
	// The specification leaves open how generic versions compare. Of numbers there is only one way.
	"generic":       ordered(readNumbers, slices.Compare[[]int64], unordered...),
	"datetime":      ordered(readTime, time.Time.Compare, unordered...),
	"lexicographic": ordered(func(s string) (string, bool) { return s, s != "" }, strings.Compare, unordered...),
}

// Compare orders two versions of packages of a purl type. It is not known of types without an order, and of what is no version of theirs.
func Compare(purlType, a, b string) (order int, known bool) {
	s := schemes[purlType]
	if s.read == nil {
		return 0, false
	}
	x, ok := s.read(a)
	if !ok {
		return 0, false
	}
	y, ok := s.read(b)
	if !ok {
		return 0, false
	}
	return s.compare(x, y)
}

// plain reports whether a text can be a version at all: no white space, nothing that is no ASCII, no number beyond what is computed with.
func plain(version string) bool {
	if version == "" || len(version) > maxVersion {
		return false
	}
	digits := 0
	for i := range len(version) {
		c := version[i]
		if c <= ' ' || c > '~' {
			return false
		}
		if digits++; c < '0' || c > '9' {
			digits = 0
		}
		if digits > maxDigits {
			return false
		}
	}
	return true
}

// readSemver reads a version of Semantic Versioning, which may begin with "v" and leave out the last numbers.
func readSemver(version string) (string, bool) {
	if !strings.HasPrefix(version, "v") {
		version = "v" + version
	}
	return version, semver.IsValid(version)
}

// leadingZeros are those of numbers. The library takes the 01 of a qualifier for something else than 1.
var leadingZeros = regexp.MustCompile(`(^|\D)0+(\d)`)

// ecosystemVersion is what the versions of an ecosystem look like. The library also takes patterns (1.*) and what is no version to anybody; some of that it
// does not survive. To Maven everything is a version, but its order of what is not numbers, and words with a number each, is none: there are
// three of which each is before the next.
var ecosystemVersion = map[ecosystem.System]*regexp.Regexp{
	ecosystem.Maven:    regexp.MustCompile(`^\d+(?:\.\d+)*(?:[.-]?[A-Za-z]+(?:-?\d+)?)*$`),
	ecosystem.NuGet:    regexp.MustCompile(`^\d+(?:\.\d+){0,3}(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z.-]+)?$`),
	ecosystem.PyPI:     regexp.MustCompile(`^[0-9A-Za-z.!+_-]+$`),
	ecosystem.RubyGems: regexp.MustCompile(`^\d+(?:\.[0-9A-Za-z]+)*(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$`),
}

func inEcosystem(system ecosystem.System) scheme {
	looks := ecosystemVersion[system]
	read := func(version string) (*ecosystem.Version, bool) {
		if !looks.MatchString(version) {
			return nil, false
		}
		if system == ecosystem.Maven || system == ecosystem.RubyGems {
			version = leadingZeros.ReplaceAllString(version, "$1$2")
		}
		v, err := system.Parse(version)
		return v, err == nil && !v.IsWildcard()
	}
	return ordered(read, (*ecosystem.Version).Compare)
}

func readDeb(version string) (deb.Version, bool) {
	v, err := deb.NewVersion(version)
	return v, err == nil
}

// rpmVersion is epoch, version and release.
var rpmVersion = regexp.MustCompile(`^(?:\d+:)?[A-Za-z0-9._+~^]+(?:-[A-Za-z0-9._+~^]+)?$`)

func readRPM(version string) (rpm.Version, bool) {
	return rpm.NewVersion(version), rpmVersion.MatchString(version)
}

// compareRPM knows no order of a version with a release and the same version without one: "1.2" means all releases of it to some, and the
// one before the first to others.
func compareRPM(a, b rpm.Version) (int, bool) {
	if (a.Release() == "") == (b.Release() == "") {
		return a.Compare(b), true
	}
	order := rpm.NewVersion(withoutRelease(a)).Compare(rpm.NewVersion(withoutRelease(b)))
	return order, order != 0
}

func withoutRelease(v rpm.Version) string { return strconv.Itoa(v.Epoch()) + ":" + v.Version() }

// apkVersion is what apk-tools read. Their library here also takes what is like it.
var apkVersion = regexp.MustCompile(`^\d+(?:\.\d+)*[a-z]?(?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)\d*)*(?:-r\d+)?$`)

func readAPK(version string) (apk.Version, bool) {
	return apk.Version(version), apkVersion.MatchString(version)
}

// readNumbers reads numbers with dots between. Zeros at the end mean nothing.
func readNumbers(version string) ([]int64, bool) {
	var numbers []int64
	for part := range strings.SplitSeq(strings.TrimPrefix(version, "v"), ".") {
		if strings.Trim(part, "0123456789") != "" {
			return nil, false
		}
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return nil, false
		}
		numbers = append(numbers, n)
	}
	for len(numbers) > 1 && numbers[len(numbers)-1] == 0 {
		numbers = numbers[:len(numbers)-1]
	}
	return numbers, true
}

func readTime(version string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, version)
	return t, err == nil
}
