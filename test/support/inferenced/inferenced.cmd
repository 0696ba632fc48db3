@echo off
node "%~dp0main.mjs" %*
