package specimen

import (
	"fmt"
	"strings"
)

// machineReadable gives the three lines of 30 characters of a TD1 card with
// their check digits (ICAO 9303-3, 4.9 and 9303-5, 4.2.2).
func machineReadable(h Holder) ([3]string, error) {
	number := filled(h.Number, 9)
	if len(h.Number) > 9 || !transcribable(h.Number) || !digits(h.Birth) || !digits(h.Expiry) || !strings.Contains("FMX", h.Sex) || len(h.Sex) != 1 {
		return [3]string{}, fmt.Errorf("specimen: a card needs a number of at most 9 letters and digits, dates as YYMMDD and sex F, M or X")
	}
	sex := h.Sex
	if sex == "X" {
		sex = "<"
	}
	first := filled("I<UTO"+number+checkDigit(number), 30)
	dates := h.Birth + checkDigit(h.Birth) + sex + h.Expiry + checkDigit(h.Expiry)
	second := filled(dates+"UTO", 29)
	composite := first[5:30] + dates[:7] + dates[8:15] + second[18:29]
	name := filled(transcribed(h.Surname)+"<<"+transcribed(h.GivenNames), 30)
	return [3]string{first, second + checkDigit(composite), name[:30]}, nil
}

func filled(s string, n int) string { return s + strings.Repeat("<", max(0, n-len(s))) }

// transcribed writes a name with the letters a zone allows; everything else
// becomes a filler.
func transcribed(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r
		}
		return '<'
	}, strings.ToUpper(name))
}

func transcribable(s string) bool {
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

func digits(s string) bool { return len(s) == 6 && strings.Trim(s, "0123456789") == "" }

// checkDigit weighs the characters' values by 7, 3, 1 modulo 10.
func checkDigit(s string) string {
	sum := 0
	for i, c := range s {
		value := 0
		switch {
		case c >= '0' && c <= '9':
			value = int(c - '0')
		case c >= 'A' && c <= 'Z':
			value = int(c-'A') + 10
		}
		sum += value * [3]int{7, 3, 1}[i%3]
	}
	return string(rune('0' + sum%10))
}
