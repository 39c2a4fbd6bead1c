# The headers, the static library and the package for find_package(rbdxx), which C++ programs need.
# In a wheel they are inside the Python package, otherwise in the directories of the system.
include(CMakePackageConfigHelpers)

if(SKBUILD)
  set(RBDXX_INCLUDEDIR rbd/include)
  set(RBDXX_LIBDIR rbd/lib)
  set(RBDXX_CMAKEDIR rbd/cmake)
else()
  set(RBDXX_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})
  set(RBDXX_LIBDIR ${CMAKE_INSTALL_LIBDIR})
  set(RBDXX_CMAKEDIR ${CMAKE_INSTALL_LIBDIR}/cmake/rbdxx)
endif()

# <rbdxx/rbdxx.hpp> includes every public header. It is generated from the list of headers.
file(
  GLOB RBDXX_HEADERS CONFIGURE_DEPENDS
  RELATIVE ${CMAKE_CURRENT_SOURCE_DIR}/cpp/include
  cpp/include/rbdxx/*.hpp cpp/include/rbdxx/rados/*.hpp)
set(RBDXX_INCLUDES "")
foreach(header IN LISTS RBDXX_HEADERS)
  string(APPEND RBDXX_INCLUDES "#include <${header}>\n")
endforeach()
# Not by file(CONFIGURE): CMake 3.18 takes the "<" of an include for a generator expression.
configure_file(cmake/rbdxx.hpp.in include/rbdxx/rbdxx.hpp @ONLY)

install(
  TARGETS rbdxx
  EXPORT rbdxxTargets
  ARCHIVE DESTINATION ${RBDXX_LIBDIR}
  INCLUDES DESTINATION ${RBDXX_INCLUDEDIR})
install(
  DIRECTORY cpp/include/rbdxx ${CMAKE_CURRENT_BINARY_DIR}/include/rbdxx
  DESTINATION ${RBDXX_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.hpp" PATTERN "*.def")
install(EXPORT rbdxxTargets NAMESPACE rbdxx:: DESTINATION ${RBDXX_CMAKEDIR})
configure_package_config_file(cmake/rbdxxConfig.cmake.in rbdxxConfig.cmake
                              INSTALL_DESTINATION ${RBDXX_CMAKEDIR})
write_basic_package_version_file(rbdxxConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/rbdxxConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/rbdxxConfigVersion.cmake
        DESTINATION ${RBDXX_CMAKEDIR})

# The same for pkg-config, which Meson uses too. The paths are relative to the file, so that the tree
# or the Python package can be moved.
set(RBDXX_PKGCONFIGDIR ${RBDXX_LIBDIR}/pkgconfig)
file(RELATIVE_PATH RBDXX_PKGCONFIG_TO_PREFIX /${RBDXX_PKGCONFIGDIR} /)
string(REGEX REPLACE "/$" "" RBDXX_PKGCONFIG_TO_PREFIX "${RBDXX_PKGCONFIG_TO_PREFIX}")
set(RBDXX_DL "")
foreach(library IN LISTS CMAKE_DL_LIBS)
  string(APPEND RBDXX_DL "-l${library}")
endforeach()
configure_file(cmake/rbdxx.pc.in rbdxx.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/rbdxx.pc DESTINATION ${RBDXX_PKGCONFIGDIR})
