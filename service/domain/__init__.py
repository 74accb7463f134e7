"""The rules of the house, by noun: plain values in, plain values out; no clock, dice, disk or network."""
